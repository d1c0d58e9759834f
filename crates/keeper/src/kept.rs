//! Descriptors that outlive those who use them: listening sockets, the last route table.

use crate::{keeper::Keeper, lives::refused, port_owner, proc};
use plimsoll_wire::keeper::{Answer, Event, Refusal, Said};
use rustix::{
    fd::{AsFd, OwnedFd},
    net::{self, AddressFamily, SocketFlags, SocketType},
};
use std::{io, net::SocketAddr};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;
/// What stands before the id of a process in the name of its handle.
const PIDFD: &str = "pidfd/";

/// One kept descriptor.
pub(crate) struct Kept {
    pub(crate) fd: OwnedFd,
    /// What `Listen` was asked for, and what it answered.
    pub(crate) listens: Option<(String, String)>,
}

impl Kept {
    /// What was handed to us: a listener that a gateway kept for us is the one that will be asked for by its address.
    pub(crate) fn of(fd: OwnedFd) -> Self {
        let listens = net::sockopt::socket_acceptconn(&fd).unwrap_or(false);
        let address = || SocketAddr::try_from(net::getsockname(&fd).ok()?).ok().map(|address| address.to_string());
        let address = if listens { address() } else { None };
        Self { listens: address.map(|address| (address.clone(), address)), fd }
    }
}

impl Keeper {
    /// Binds a listener and keeps it.
    pub(crate) fn listen(&mut self, name: &str, address: &str) -> Answer {
        if let Some((asked, real)) = self.kept.get(name).and_then(|kept| kept.listens.as_ref())
            && (asked == address || real == address)
        {
            return Answer::Listening { address: real.clone() };
        }
        match bind(address) {
            Ok((fd, real)) => {
                self.keep(name, Kept { fd, listens: Some((address.to_owned(), real.clone())) });
                Answer::Listening { address: real }
            }
            Err((stage, error)) => Answer::Refused(self.bind_refused(stage, address, &error)),
        }
    }

    fn bind_refused(&self, stage: &str, address: &str, error: &io::Error) -> Refusal {
        let mut refusal = refused(stage, error, &format!("cannot listen on {address}"));
        let Ok(parsed) = address.parse::<SocketAddr>() else { return refusal };
        if refusal.errno != libc::EADDRINUSE {
            return refusal;
        }
        let port = parsed.port();
        refusal.detail = match port_owner::find(parsed) {
            Some((pid, _)) if pid == proc::own_pid() => match self.listener_of(port) {
                Some(name) => format!("port {port} is in use by this system itself, as {name}"),
                None => format!("port {port} is in use by this system's keeper (pid {pid})"),
            },
            Some((pid, program)) => format!("port {port} is in use by pid {pid} ({program})"),
            None => format!("port {port} is in use by a process that we may not see"),
        };
        refusal
    }

    /// The name under which a listener on that port is kept.
    fn listener_of(&self, port: u16) -> Option<&str> {
        let has_port = |real: &str| real.parse::<SocketAddr>().is_ok_and(|address| address.port() == port);
        let mut kept = self.kept.iter();
        kept.find(|(_, kept)| kept.listens.as_ref().is_some_and(|(_, real)| has_port(real)))
            .map(|(name, _)| name.as_str())
    }

    /// Keeps it, and tells those who watch that name.
    pub(crate) fn keep(&mut self, name: &str, kept: Kept) {
        for connection in self.connections.values_mut().filter(|one| one.watches.iter().any(|watched| watched == name))
        {
            if let Ok(fd) = kept.fd.try_clone() {
                connection.say(Said::Event(Event::Kept { name: name.to_owned() }), Some(fd));
            }
        }
        self.kept.insert(name.to_owned(), kept);
    }

    /// A duplicate of what is kept under that name.
    pub(crate) fn taken(&self, name: &str) -> Option<OwnedFd> {
        let fd = match name.strip_prefix(PIDFD) {
            Some(id) => self.children.get(id)?.pidfd.as_ref()?.as_fd(),
            None => self.kept.get(name)?.fd.as_fd(),
        };
        fd.try_clone_to_owned().ok()
    }
}

/// A listening socket, and the address that it really has; or which act failed.
fn bind(address: &str) -> Result<(OwnedFd, String), (&'static str, io::Error)> {
    let parsed: SocketAddr = address.parse().map_err(|_| ("address", io::Error::from_raw_os_error(libc::EINVAL)))?;
    let family = if parsed.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let bound = || -> io::Result<(OwnedFd, String)> {
        let socket = net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        net::sockopt::set_socket_reuseaddr(&socket, true)?;
        net::bind(&socket, &parsed)?;
        net::listen(&socket, BACKLOG)?;
        let real = SocketAddr::try_from(net::getsockname(&socket)?)?;
        Ok((socket, real.to_string()))
    };
    bound().map_err(|error| ("bind", error))
}
