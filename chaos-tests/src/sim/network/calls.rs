//! Calls and what of them is under way: how a packet is sent, arrives, or takes its connection with it.

use std::io;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use rand::RngExt;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::{
    AnswerHead, Arrival, Call, GIVE_UP_MS, Inner, Packet, Port, RESEND_MS, SEGMENT_ENDS_ONCE_IN, Segment,
    broken,
};
use crate::sim::call::incoming;
use crate::sim::sabotage::Tampering;
use crate::sim::trace::{CLIENTS, Place, name};

impl Inner {
    pub(super) fn is_lost(&mut self) -> bool {
        self.chance(self.weather.loss_percent)
    }

    pub(super) fn is_doubled(&mut self) -> bool {
        self.chance(self.weather.duplicate_percent)
    }

    pub(super) fn chance(&mut self, percent: u32) -> bool {
        percent > 0 && self.random.random_range(0..100) < percent
    }

    pub(super) fn new_call(
        &mut self,
        from: Place,
        to: Place,
        port: Port,
        path: String,
        head: Option<oneshot::Sender<AnswerHead>>,
    ) -> u64 {
        self.next += 1;
        let call = Call {
            from,
            to,
            port,
            path,
            ways: Default::default(),
            head,
            to_client: None,
            to_server: None,
            tasks: Vec::new(),
            tampering: Tampering::default(),
        };
        self.calls.insert(self.next, call);
        self.next
    }

    pub(super) fn send_whole(&mut self, call: u64, request: Request<()>, frames: Vec<Frame<Bytes>>) {
        self.send(call, true, Packet::Open(Box::new(request)));
        for frame in frames {
            self.send(call, true, Packet::Frame(frame));
        }
        self.send(call, true, Packet::End);
    }

    pub(super) fn send(&mut self, number: u64, to_server: bool, packet: Packet) {
        let Some(call) = self.calls.get_mut(&number) else { return };
        let packet = match (packet, self.sabotage) {
            (Packet::Frame(frame), Some(sabotage)) => {
                let change = |data| {
                    sabotage.change((&call.path, to_server), &data, &mut call.tampering, &mut self.random)
                };
                Packet::Frame(frame.map_data(change))
            }
            (packet, _) => packet,
        };
        if let Packet::Frame(frame) = &packet {
            self.observer.see(call.from, call.to, &call.path, to_server, frame);
        }
        let way = &mut call.ways[usize::from(!to_server)];
        let last = way.segments.back_mut().filter(|last| last.sent_ms == self.now_ms);
        if let Some(last) = last
            && !self.random.random_ratio(1, SEGMENT_ENDS_ONCE_IN)
        {
            return last.packets.push(packet);
        }
        let delay_ms = self.random.random_range(self.weather.delay_ms.clone());
        way.last_due_ms = way.last_due_ms.max(self.now_ms + delay_ms);
        way.segments.push_back(Segment { sent_ms: self.now_ms, packets: vec![packet] });
        let due_ms = way.last_due_ms;
        self.next += 1;
        self.due.insert((due_ms, self.next), (number, to_server));
    }

    /// A segment of a way is due.
    pub(super) fn arrive(
        &mut self,
        number: u64,
        to_server: bool,
        dropped: &mut Vec<AnswerHead>,
    ) -> Option<Arrival> {
        let call = self.calls.get_mut(&number)?;
        let (from, to) = if to_server { (call.from, call.to) } else { (call.to, call.from) };
        let way = &mut call.ways[usize::from(!to_server)];
        if self.cuts.get(&(from, to)).is_some_and(|cuts| *cuts > 0) {
            let since = *way.stuck_since_ms.get_or_insert(self.now_ms);
            if self.now_ms - since >= GIVE_UP_MS {
                self.trace.event(from, || format!("net: #{number} to {} is given up", name(to)));
                self.break_call(number, "nothing gets through");
            } else {
                self.next += 1;
                self.due.insert((self.now_ms + RESEND_MS, self.next), (number, to_server));
            }
            return None;
        }
        way.stuck_since_ms = None;
        let segment = way.segments.pop_front()?;
        self.touched.insert(to);
        let mut arrival = None;
        for packet in segment.packets {
            arrival = arrival.or(self.packet_arrives(number, to_server, packet, dropped));
        }
        arrival
    }

    /// Nothing if the call is over.
    fn packet_arrives(
        &mut self,
        number: u64,
        to_server: bool,
        packet: Packet,
        dropped: &mut Vec<AnswerHead>,
    ) -> Option<Arrival> {
        let call = self.calls.get_mut(&number)?;
        match packet {
            Packet::Open(request) => return Some(self.open_arrives(number, *request)),
            Packet::Head(response) => self.head_arrives(number, *response, dropped),
            Packet::Refused => {
                if let Some(mut call) = self.forget(number)
                    && let Some(head) = call.head.take()
                {
                    let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
                    dropped.extend(head.send(Err(refused.into())).err());
                }
            }
            Packet::Frame(frame) => {
                let frame = Ok(frame);
                let way = if to_server { &call.to_server } else { &call.to_client };
                // Whoever does not read any more says so by itself.
                let _ = way.as_ref().map(|way| way.send(frame));
            }
            Packet::End if to_server => call.to_server = None,
            Packet::End => drop(self.forget(number)),
            Packet::Reset(reason) => self.break_call(number, reason),
        }
        None
    }

    pub(super) fn open_arrives(&mut self, number: u64, request: Request<()>) -> Arrival {
        let call = self.calls.get_mut(&number).expect("looked up by the caller");
        let (sender, body) = incoming::body();
        call.to_server = Some(sender);
        let (from, to, port) = (call.from, call.to, call.port);
        if from != CLIENTS || port == Port::Peer {
            self.trace.event(to, || {
                let method = call.path.rsplit('/').next().unwrap_or_default();
                format!("net: {method} of {} #{number}", name(from))
            });
        }
        Arrival { call: number, to, port, request: request.map(|()| body) }
    }

    pub(super) fn head_arrives(
        &mut self,
        number: u64,
        response: Response<()>,
        dropped: &mut Vec<AnswerHead>,
    ) {
        let Some(call) = self.calls.get_mut(&number) else { return };
        let (sender, body) = incoming::body();
        call.to_client = Some(sender);
        match call.head.take() {
            Some(head) => dropped.extend(head.send(Ok(response.map(|()| body))).err()),
            None => dropped.push(Ok(response.map(|()| body))),
        }
    }

    /// Both ends learn that the connection is gone.
    pub(super) fn break_call(&mut self, number: u64, reason: &'static str) {
        let Some(mut call) = self.forget(number) else { return };
        if let Some(head) = call.head.take() {
            // Whoever has gone needs no answer.
            let _ = head.send(Err(broken(reason).into()));
        }
        if let Some(to_client) = &call.to_client {
            let _ = to_client.send(Err(broken(reason)));
        }
        if let Some(to_server) = &call.to_server {
            let _ = to_server.send(Err(broken(reason)));
        }
    }

    /// The caller has gone: the server hears of it after a while.
    pub(super) fn hang_up(&mut self, number: u64) {
        if self.calls.contains_key(&number) {
            self.send(number, true, Packet::Reset("the caller has gone"));
        }
    }

    pub(super) fn forget(&mut self, number: u64) -> Option<Call> {
        let call = self.calls.remove(&number)?;
        call.tasks.iter().for_each(AbortHandle::abort);
        self.touched.extend([call.from, call.to]);
        Some(call)
    }
}
