//! What a loop is told: the newest order, and nothing of those before it.
//!
//! As a watch channel with a single listener, in a quarter of its memory: there is one for each target.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Whoever gives orders. Dropping it releases the listener.
#[derive(Debug)]
pub(crate) struct Orders<T>(Arc<Shared<T>>);

/// Whoever follows them.
#[derive(Debug)]
pub(crate) struct Inbox<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    told: Notify,
}

#[derive(Debug)]
struct State<T> {
    newest: T,
    is_unread: bool,
    is_released: bool,
    is_followed: bool,
}

/// A way to tell a loop what to do, and the first order, which counts as read.
pub(crate) fn orders<T>(first: T) -> (Orders<T>, Inbox<T>) {
    let state = State { newest: first, is_unread: false, is_released: false, is_followed: true };
    let shared = Arc::new(Shared { state: Mutex::new(state), told: Notify::new() });
    (Orders(Arc::clone(&shared)), Inbox(shared))
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing under the lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Orders<T> {
    /// Gives a new order, where `change` makes one of the last and says so.
    pub(crate) fn change(&self, change: impl FnOnce(&mut T) -> bool) {
        let mut state = self.0.lock();
        if change(&mut state.newest) {
            state.is_unread = true;
            drop(state);
            self.0.told.notify_one();
        }
    }

    /// Whether nobody follows any more.
    pub(crate) fn is_closed(&self) -> bool {
        !self.0.lock().is_followed
    }
}

impl<T> Drop for Orders<T> {
    fn drop(&mut self) {
        self.0.lock().is_released = true;
        self.0.told.notify_one();
    }
}

impl<T: Clone> Inbox<T> {
    /// The newest order, which counts as read from now on.
    pub(crate) fn read(&self) -> T {
        let mut state = self.0.lock();
        state.is_unread = false;
        state.newest.clone()
    }

    /// Waits for an order that was not read yet. `false`: there will be none.
    pub(crate) async fn changed(&self) -> bool {
        loop {
            {
                let state = self.0.lock();
                if state.is_unread || state.is_released {
                    return state.is_unread;
                }
            }
            self.0.told.notified().await;
        }
    }

    /// Waits until nobody gives orders any more.
    pub(crate) async fn released(&self) {
        while !self.0.lock().is_released {
            self.0.told.notified().await;
        }
    }
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        self.0.lock().is_followed = false;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    /// What a future gives that need not wait.
    async fn at_once<F: Future>(future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    fn tell(orders: &Orders<u32>, order: u32) {
        orders.change(|newest| {
            *newest = order;
            true
        });
    }

    #[tokio::test]
    async fn only_the_newest_order_is_read_and_each_is_news_once() {
        let (orders, inbox) = orders(0);
        assert_eq!((inbox.read(), at_once(inbox.changed()).await), (0, None));
        tell(&orders, 1);
        tell(&orders, 2);
        orders.change(|_| false);
        assert_eq!((at_once(inbox.changed()).await, inbox.read()), (Some(true), 2));
        assert_eq!(at_once(inbox.changed()).await, None);
    }

    #[tokio::test]
    async fn a_listener_that_waits_is_woken_by_an_order_and_by_its_release() {
        let (orders, inbox) = orders(0);
        let follows = tokio::spawn(async move {
            let mut n_orders = 0;
            while inbox.changed().await {
                n_orders += inbox.read();
            }
            n_orders
        });
        tokio::task::yield_now().await;
        tell(&orders, 5);
        tokio::task::yield_now().await;
        drop(orders);
        assert_eq!(follows.await.unwrap(), 5);
    }

    #[tokio::test]
    async fn a_last_order_is_heard_before_the_release_and_orders_do_not_look_like_one() {
        let (orders, inbox) = orders(0);
        tell(&orders, 1);
        assert_eq!(at_once(inbox.released()).await, None);
        drop(orders);
        assert_eq!(at_once(inbox.released()).await, Some(()));
        assert_eq!((at_once(inbox.changed()).await, inbox.read()), (Some(true), 1));
        assert_eq!(at_once(inbox.changed()).await, Some(false));
    }

    #[tokio::test]
    async fn who_gives_orders_learns_that_nobody_follows() {
        let (orders, inbox) = orders(0);
        assert!(!orders.is_closed());
        drop(inbox);
        assert!(orders.is_closed());
    }
}
