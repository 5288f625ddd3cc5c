//! A way into a channel whose receiver listens for a bell: for a thread that takes from several channels.
//!
//! Such a thread could wait with `select!`, which enters it into a list at each channel and takes it out again whenever it wakes up, while
//! whoever has woken it still holds the lock of one of these lists. Both then wait for each other in the kernel (measured: two more
//! switches for each wake-up, and most of the dispatcher's time where batches are small). A bell is one channel with one listener, whom
//! the ring itself takes out of the list; and while the listener works, ringing costs next to nothing.

use crossbeam_channel::{SendError, Sender, TrySendError};

use super::bell::Bell;

/// Sends, then rings. Cheap to clone. When it ends it rings too, so that the listener finds the channel closed.
#[derive(Debug)]
pub struct Post<T> {
    // The order matters: the bell rings when the sender has gone.
    sender: Sender<T>,
    bell: RingsAtEnd,
}

#[derive(Debug)]
struct RingsAtEnd(Bell);

impl Drop for RingsAtEnd {
    fn drop(&mut self) {
        self.0.ring();
    }
}

impl<T> Clone for Post<T> {
    fn clone(&self) -> Self {
        Self::new(self.sender.clone(), &self.bell.0)
    }
}

impl<T> Post<T> {
    /// Into this channel, with this bell.
    pub fn new(sender: Sender<T>, bell: &Bell) -> Self {
        Self {
            sender,
            bell: RingsAtEnd(bell.clone()),
        }
    }

    /// Sends; waits for room.
    ///
    /// # Errors
    /// When the receiver has gone.
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.sender.send(message)?;
        self.bell.0.ring();
        Ok(())
    }

    /// Sends when there is room.
    ///
    /// # Errors
    /// When there is none, or the receiver has gone.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.sender.try_send(message)?;
        self.bell.0.ring();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::{TryRecvError, bounded};

    use super::*;

    #[test]
    fn a_message_is_there_when_the_bell_rings() {
        let (bell, (sender, receiver)) = (Bell::default(), bounded(1));
        let post = Post::new(sender, &bell);
        post.send(1).unwrap();
        assert_eq!(bell.rung().try_recv(), Ok(()));
        assert_eq!(receiver.try_recv(), Ok(1));
        post.try_send(2).unwrap();
        assert!(post.try_send(3).is_err(), "no room");
        assert_eq!(bell.rung().try_recv(), Ok(()));
        assert_eq!(receiver.try_recv(), Ok(2));
    }

    #[test]
    fn the_channel_is_closed_when_the_last_ring_is_heard() {
        let (bell, (sender, receiver)) = (Bell::default(), bounded::<u8>(1));
        let post = Post::new(sender, &bell);
        let other = post.clone();
        drop(post);
        assert_eq!(bell.rung().try_recv(), Ok(()));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        drop(other);
        assert_eq!(bell.rung().try_recv(), Ok(()));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    }
}
