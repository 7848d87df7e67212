//! Where the plugin listens, as plugind's native dialect tells it.
use std::os::fd::FromRawFd;
use std::path::PathBuf;

const FIRST_PASSED_DESCRIPTOR: i32 = 3;

pub enum Listen {
    /// A Unix socket that listens already.
    Descriptor(std::os::unix::net::UnixListener),
    Unix(PathBuf),
    /// "HOST:PORT"
    Tcp(String),
}

/// Reads, in this order: LISTEN_FDS and LISTEN_PID (descriptor 3), PLUGIND_LISTEN, and
/// `--listen ADDRESS`.  Addresses are "unix:/path" or "tcp:HOST:PORT".
pub fn find_listen(mut arguments: impl Iterator<Item = String>) -> Result<Listen, String> {
    let environment = |name| std::env::var(name).unwrap_or_default();
    let option = match (arguments.next(), arguments.next(), arguments.next()) {
        (None, _, _) => String::new(),
        (Some(option), Some(address), None) if option == "--listen" => address,
        _ => return Err("usage: text-rust [--listen unix:/path | --listen tcp:HOST:PORT]".into()),
    };
    if environment("LISTEN_FDS") == "1"
        && environment("LISTEN_PID") == std::process::id().to_string()
    {
        // Safety: LISTEN_PID says that the descriptor was passed to this very process, and nothing
        // else here takes it.
        let listener =
            unsafe { std::os::unix::net::UnixListener::from_raw_fd(FIRST_PASSED_DESCRIPTOR) };
        return Ok(Listen::Descriptor(listener));
    }
    let address = match environment("PLUGIND_LISTEN") {
        address if address.is_empty() => option,
        address => address,
    };
    if address.is_empty() {
        return Err(
            "no address to listen on: set PLUGIND_LISTEN or give --listen, as unix:/path \
                    or tcp:HOST:PORT"
                .into(),
        );
    }
    if let Some(path) = address.strip_prefix("unix:").filter(|p| p.starts_with('/')) {
        Ok(Listen::Unix(path.into()))
    } else if let Some(host_and_port) = address.strip_prefix("tcp:") {
        Ok(Listen::Tcp(host_and_port.to_owned()))
    } else {
        Err(format!(
            "cannot listen on \"{address}\": an address is unix:/path or tcp:HOST:PORT"
        ))
    }
}
