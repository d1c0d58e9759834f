//! A timer that is precise to some tens of microseconds (tokio's own rounds up to the next millisecond).

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// A kernel timer that a runtime waits for like for a socket.
pub(crate) struct Ticker(AsyncFd<OwnedFd>);

impl Ticker {
    /// Makes one; must be called within a runtime.
    pub(crate) fn try_new() -> io::Result<Ticker> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe because of types whose descriptor may change; OwnedFd's can't"
        )]
        let timer = AsyncFd::new(timer)?;
        Ok(Ticker(timer))
    }

    /// Waits for `delay` (at least 1 ns). May be dropped and begun anew at any time.
    pub(crate) async fn wait(&mut self, delay: Duration) -> io::Result<()> {
        let value = Timespec {
            tv_sec: i64::try_from(delay.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(delay.subsec_nanos()).max(i64::from(delay.as_secs() == 0)),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        loop {
            let mut ready = self.0.readable().await?;
            let mut count = [0_u8; 8];
            // A wake-up left over from an earlier wait finds nothing to read, and is waited through.
            if let Ok(read) = ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut count)?)) {
                return read.map(|_| ());
            }
        }
    }
}
