//! [`host::watch`] as openraft asks for it.

use openraft::rt::watch::{RecvError, SendError, Watch, WatchReceiver, WatchSender};
use openraft::{OptionalSend, OptionalSync};

use crate::host::watch;

pub struct HostWatch;

pub struct HostSender<T>(watch::Sender<T>);

pub struct HostReceiver<T>(watch::Receiver<T>);

impl Watch for HostWatch {
    type Sender<T: OptionalSend + OptionalSync> = HostSender<T>;
    type Receiver<T: OptionalSend + OptionalSync> = HostReceiver<T>;
    type Ref<'a, T: OptionalSend + 'a> = watch::Ref<'a, T>;

    fn channel<T: OptionalSend + OptionalSync>(init: T) -> (HostSender<T>, HostReceiver<T>) {
        let (sender, receiver) = watch::channel(init);
        (HostSender(sender), HostReceiver(receiver))
    }
}

impl<T> Clone for HostSender<T> {
    fn clone(&self) -> Self {
        HostSender(self.0.clone())
    }
}

impl<T> Clone for HostReceiver<T> {
    fn clone(&self) -> Self {
        HostReceiver(self.0.clone())
    }
}

impl<T: OptionalSend + OptionalSync> WatchSender<HostWatch, T> for HostSender<T> {
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.0.send(value).map_err(SendError)
    }

    fn send_if_modified<F: FnOnce(&mut T) -> bool>(&self, modify: F) -> bool {
        self.0.send_if_modified(modify)
    }

    fn borrow_watched(&self) -> watch::Ref<'_, T> {
        self.0.borrow()
    }

    fn subscribe(&self) -> HostReceiver<T> {
        HostReceiver(self.0.subscribe())
    }
}

impl<T: OptionalSend + OptionalSync> WatchReceiver<HostWatch, T> for HostReceiver<T> {
    async fn changed(&mut self) -> Result<(), RecvError> {
        self.0.changed().await.map_err(|_| RecvError(()))
    }

    fn borrow_watched(&self) -> watch::Ref<'_, T> {
        self.0.borrow()
    }

    fn borrow_and_update(&mut self) -> watch::Ref<'_, T> {
        self.0.borrow_and_update()
    }
}
