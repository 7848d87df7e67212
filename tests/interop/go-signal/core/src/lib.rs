//! A plugin core as they are commonly written: Rust, tokio, a C interface, and plugins started as
//! children of whatever program loads it.  Nothing here is wrong by itself; see ../README.md.
use std::ffi::{c_char, c_int, CStr};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::OnceLock;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::runtime::Runtime;

extern "C" {
    fn kill(pid: c_int, signal: c_int) -> c_int;
}
const SIGTERM: c_int = 15;

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("threads for tokio"))
}

async fn start(executable: &str, address: &str) -> std::io::Result<Child> {
    let mut child = Command::new(executable)
        .args(["--listen", address])
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.as_mut().expect("it is piped");
    let mut greeting = String::new();
    BufReader::new(stdout).read_line(&mut greeting).await?;
    if greeting.is_empty() {
        return Err(std::io::Error::other("it ended before it listened"));
    }
    Ok(child)
}

/// Starts a plugin that shall listen on `address` and waits until it does.  NULL on failure.
///
/// # Safety
/// Both arguments are C strings.
#[no_mangle]
pub unsafe extern "C" fn core_start(
    executable: *const c_char,
    address: *const c_char,
) -> *mut Child {
    let (Ok(executable), Ok(address)) = (
        CStr::from_ptr(executable).to_str(),
        CStr::from_ptr(address).to_str(),
    ) else {
        return std::ptr::null_mut();
    };
    match runtime().block_on(start(executable, address)) {
        Ok(child) => Box::into_raw(Box::new(child)),
        Err(error) => {
            eprintln!("cannot start {executable}: {error}");
            std::ptr::null_mut()
        }
    }
}

/// Asks the plugin to end, waits for that and frees it.  Its exit code, or its signal negated.
///
/// # Safety
/// `plugin` comes from core_start and is used only once.
#[no_mangle]
pub unsafe extern "C" fn core_stop(plugin: *mut Child) -> c_int {
    let mut child = Box::from_raw(plugin);
    if let Some(pid) = child.id() {
        kill(pid as c_int, SIGTERM);
    }
    match runtime().block_on(child.wait()) {
        Ok(status) => status
            .code()
            .unwrap_or_else(|| -status.signal().unwrap_or(1)),
        Err(_) => -1,
    }
}
