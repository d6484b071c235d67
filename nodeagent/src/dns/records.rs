//! Resource records with our time to live. Texts that cannot be a name give none.

use std::net::Ipv4Addr;

use hickory_proto::rr::rdata::{A, CNAME, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record};

use super::TTL_SECONDS;

const SRV_PRIORITY: u16 = 0;
const REFRESH_SECONDS: i32 = 7200;
const RETRY_SECONDS: i32 = 1800;
const EXPIRE_SECONDS: i32 = 86_400;

pub fn fully_qualified(text: &str) -> Option<Name> {
    let mut name = Name::from_ascii(text).ok()?;
    name.set_fqdn(true);
    Some(name)
}

pub fn a(owner: &Name, address: Ipv4Addr) -> Record {
    record(owner, RData::A(A(address)))
}

pub fn cname(owner: &Name, target: &str) -> Option<Record> {
    Some(record(owner, RData::CNAME(CNAME(fully_qualified(target)?))))
}

pub fn ptr(owner: &Name, target: &str) -> Option<Record> {
    Some(record(owner, RData::PTR(PTR(fully_qualified(target)?))))
}

/// The weights of all records of an answer add up to about 100.
pub fn srv(owner: &Name, target: Name, port: u16, count: usize) -> Record {
    let weight = u16::try_from(100 / count.max(1)).unwrap_or(1).max(1);
    record(owner, RData::SRV(SRV::new(SRV_PRIORITY, weight, port, target)))
}

pub fn ns(domain: &Name, server: Name) -> Record {
    record(domain, RData::NS(NS(server)))
}

pub fn txt(owner: &Name, text: &str) -> Record {
    record(owner, RData::TXT(TXT::new(vec![text.to_owned()])))
}

pub fn soa(domain: &Name, server: Name, contact: Name, serial: u32) -> Record {
    let data = SOA::new(server, contact, serial, REFRESH_SECONDS, RETRY_SECONDS, EXPIRE_SECONDS, TTL_SECONDS);
    record(domain, RData::SOA(data))
}

fn record(owner: &Name, data: RData) -> Record {
    Record::from_rdata(owner.clone(), TTL_SECONDS, data)
}
