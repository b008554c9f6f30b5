//! Two network namespaces with a TUN device in each, visible to nobody but this process and its children.
//!
//! Their names are in a mount namespace of our own, so any number of labs can be there at once, and whatever ends this
//! process takes all of it along.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::{Error, kernel, wait};

/// The namespaces' names, and those of the devices in them.
pub const NAMES: [&str; 2] = ["host", "viewer"];
/// From a range for documentation (RFC 5737), which no real network has.
pub const ADDRESSES: [&str; 2] = ["192.0.2.1", "192.0.2.2"];
/// As much as an Ethernet takes.
pub const MTU: usize = 1_500;
const FOLDER: &str = "/run/netns";

pub struct Lab {
    /// Of the host and of the viewer.
    pub ends: [File; 2],
}

impl Lab {
    /// # Errors
    /// Say what is missing on this machine.
    pub fn set_up() -> Result<Lab, Error> {
        check()?;
        kernel::leave_namespaces().map_err(|why| {
            format!("the kernel gives no namespaces ({why}): in a container, allow CAP_SYS_ADMIN and CAP_NET_ADMIN")
        })?;
        hide_names().map_err(|why| format!("{FOLDER} cannot be hidden from others: {why}"))?;
        let mut ends = Vec::new();
        for (side, name) in NAMES.into_iter().enumerate() {
            ends.push(kernel::tun(name).map_err(|why| format!("{}: {why}", kernel::DEVICE))?);
            ip(&["netns", "add", name])?;
            ip(&["link", "set", name, "netns", name])?;
            let within = |arguments: &[&str]| ip(&[&["-n", name], arguments].concat());
            within(&["link", "set", "lo", "up"])?;
            // Nothing is on the link but what is measured: IPv6 would announce itself.
            within(&["link", "set", name, "addrgenmode", "none", "mtu", &MTU.to_string()])?;
            within(&["addr", "add", ADDRESSES[side], "peer", ADDRESSES[1 - side], "dev", name])?;
            within(&["link", "set", name, "up"])?;
            // A browser asks which address would lead to the internet.
            within(&["route", "add", "default", "dev", name])?;
        }
        Ok(Lab { ends: ends.try_into().expect("one for each name") })
    }

    /// Ends all that runs in the lab, kindly first. In the end nothing is left but this process.
    pub fn clear(&self) -> Result<(), Error> {
        for signal in [Signal::TERM, Signal::KILL] {
            let inhabitants = self.inhabitants()?;
            for pid in &inhabitants {
                // It may have ended by itself.
                let _ = kill_process(*pid, signal);
            }
            wait::for_all(
                inhabitants.iter().filter_map(|pid| pidfd_open(*pid, PidfdFlags::empty()).ok()),
            )?;
        }
        Ok(())
    }

    /// Processes whose network is one of the lab's, or ours.
    fn inhabitants(&self) -> io::Result<Vec<Pid>> {
        let named = NAMES.iter().map(|name| identity(&Path::new(FOLDER).join(name)));
        let ours = identity(Path::new("/proc/self/ns/net"));
        let networks = named.chain([ours]).collect::<io::Result<Vec<_>>>()?;
        let inside = |pid: &Pid| {
            let network = PathBuf::from(format!("/proc/{}/ns/net", pid.as_raw_nonzero()));
            identity(&network).is_ok_and(|network| networks.contains(&network))
        };
        let processes = fs::read_dir("/proc")?
            .filter_map(|entry| Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?));
        let us = rustix::process::getpid();
        Ok(processes.filter(|pid| *pid != us && inside(pid)).collect())
    }
}

/// What tells a namespace from others.
fn identity(path: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(fs::metadata(path)?.ino())
}

fn check() -> Result<(), Error> {
    if !rustix::process::geteuid().is_root() {
        return Err("only root makes network namespaces and TUN devices: run this as root".into());
    }
    if !Path::new(kernel::DEVICE).exists() {
        let hint = "run `modprobe tun`, or start the container with --device /dev/net/tun";
        return Err(format!("there is no {}: {hint}", kernel::DEVICE).into());
    }
    ip(&["-Version"]).map(drop)
}

fn hide_names() -> io::Result<()> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    fs::create_dir_all(FOLDER)?;
    mount("netlab", FOLDER, "tmpfs", MountFlags::empty(), None)?;
    Ok(())
}

fn ip(arguments: &[&str]) -> Result<(), Error> {
    let output = Command::new("ip").args(arguments).output().map_err(|why| match why.kind() {
        io::ErrorKind::NotFound => "ip is missing: apt-get install iproute2".to_owned(),
        _ => format!("ip does not start: {why}"),
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("ip {}: {}", arguments.join(" "), said.trim()).into());
    }
    Ok(())
}
