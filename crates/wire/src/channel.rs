//! One end of a `SOCK_SEQPACKET` Unix connection: one message a datagram, descriptors beside it.
//!
//! A message longer than [`INLINE_MAX`] travels in a memfd, so that a list of ten thousand processes is still one message.

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{MemfdFlags, memfd_create},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, SocketAddrUnix, SocketFlags, SocketType, recvmsg, sendmsg,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::File,
    io::{self, IoSlice, IoSliceMut, Write},
    mem::MaybeUninit,
    os::unix::fs::FileExt,
    path::Path,
};

/// Longer messages travel in a memfd; well below the default socket buffer of 208 KiB.
pub const INLINE_MAX: usize = 48 * 1024;
/// Descriptors beside one message, at most.
pub const FDS_MAX: usize = 8;
/// What a datagram says whose message is in the first descriptor.
const IN_MEMFD: &[u8] = b"@memfd";
/// A message in a memfd may have so many bytes.
const MEMFD_MAX: u64 = 256 << 20;

/// One end of a connection. Sending and receiving take `&self`; whether they block is a property of the socket.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
}

/// A message, and the descriptors that came with it.
pub type Received<T> = (T, Vec<OwnedFd>);

impl Channel {
    /// The channel over that socket.
    #[must_use]
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// The channel that a process was given as its standard input.
    ///
    /// # Errors
    /// The descriptor could not be duplicated.
    pub fn from_stdin() -> io::Result<Self> {
        Ok(Self { socket: io::stdin().as_fd().try_clone_to_owned()? })
    }

    /// Two connected ends.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self::new(one), Self::new(other)))
    }

    /// Connects to whoever listens at `path`.
    ///
    /// # Errors
    /// Nobody listens there (`NotFound`, `ConnectionRefused`), or the path is too long.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(Self::new(socket))
    }

    /// Listens at `path` with mode 0600; a socket that is there already is replaced.
    ///
    /// # Errors
    /// The path can't be written to, or is too long.
    pub fn listen(path: &Path) -> io::Result<OwnedFd> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        rustix::net::listen(&socket, 128)?;
        Ok(socket)
    }

    /// Accepts one connection from a socket made by [`Channel::listen`].
    ///
    /// # Errors
    /// `WouldBlock` if there is none and the listener does not block.
    pub fn accept(listener: impl AsFd) -> io::Result<Self> {
        Ok(Self::new(rustix::net::accept_with(listener, SocketFlags::CLOEXEC)?))
    }

    /// Whether sending and receiving return `WouldBlock` instead of waiting.
    ///
    /// # Errors
    /// The descriptor is no socket.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        Ok(rustix::io::ioctl_fionbio(&self.socket, nonblocking)?)
    }

    /// Sends one message, with up to [`FDS_MAX`] descriptors.
    ///
    /// # Errors
    /// `WouldBlock`, `BrokenPipe` or `ConnectionReset` when the other end is gone, `InvalidInput` with too many descriptors.
    pub fn send<T: Serialize>(&self, message: &T, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        if text.len() <= INLINE_MAX {
            return self.send_datagram(&text, fds);
        }
        let mut file = File::from(memfd_create("plimsoll-message", MemfdFlags::CLOEXEC)?);
        file.write_all(&text)?;
        let mut all = vec![file.as_fd()];
        all.extend_from_slice(fds);
        self.send_datagram(IN_MEMFD, &all)
    }

    fn send_datagram(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX + 1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one message"));
        }
        rustix::io::retry_on_intr(|| {
            sendmsg(&self.socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)
        })?;
        Ok(())
    }

    /// Receives one message; `None` when the other end is gone.
    ///
    /// # Errors
    /// `WouldBlock`; `InvalidData` for a message that is not understood (the connection is still good).
    pub fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<Received<T>>> {
        let mut bytes = vec![0u8; INLINE_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX + 1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            recvmsg(&self.socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        });
        let received = match received {
            Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            other => other?,
        };
        if received.bytes == 0 {
            return Ok(None);
        }
        bytes.truncate(received.bytes);
        let mut fds = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        if bytes == IN_MEMFD && !fds.is_empty() {
            bytes = read_memfd(fds.remove(0))?;
        }
        Ok(Some((serde_json::from_slice(&bytes)?, fds)))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl std::os::fd::AsRawFd for Channel {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.socket.as_raw_fd()
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.socket
    }
}

/// A memfd with these bytes, to be kept or sent.
///
/// # Errors
/// No memory or no descriptors left.
pub fn memfd(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(name, MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file.into())
}

/// All bytes of a memfd, from its start. Several readers of one memfd don't disturb each other.
///
/// # Errors
/// It is longer than 256 MiB, or not readable.
pub fn read_memfd(fd: OwnedFd) -> io::Result<Vec<u8>> {
    let file = File::from(fd);
    let length = file.metadata()?.len();
    if length > MEMFD_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is longer than 256 MiB"));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn messages_arrive_whole_with_their_descriptors() {
        let (one, other) = Channel::pair().unwrap();
        let file = memfd("x", b"kept").unwrap();
        for size in [1usize, INLINE_MAX - 2, INLINE_MAX, 3_000_000] {
            one.send(&"m".repeat(size), &[file.as_fd()]).unwrap();
            let (text, fds): Received<String> = other.receive().unwrap().unwrap();
            assert_eq!(text.len(), size);
            assert_eq!(fds.len(), 1);
            assert_eq!(read_memfd(fds.into_iter().next().unwrap()).unwrap(), b"kept");
        }
    }

    #[test]
    fn an_end_that_is_gone_is_no_message() {
        let (one, other) = Channel::pair().unwrap();
        drop(one);
        assert!(other.receive::<String>().unwrap().is_none());
    }

    #[test]
    fn nonsense_is_an_error_and_the_connection_goes_on() {
        let (one, other) = Channel::pair().unwrap();
        one.send(&1, &[]).unwrap();
        one.send(&"text", &[]).unwrap();
        assert_eq!(other.receive::<String>().unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(other.receive::<String>().unwrap().unwrap().0, "text");
    }
}
