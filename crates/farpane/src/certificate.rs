//! The certificate of `share --tls`: the owner's own, or one that is made here and kept, so that what a person has told a
//! browser about it still holds the next time.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use farpane_server::{Tls, TlsError};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};

use crate::failure::Failure;

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// As long as browsers take any for good.
const VALID: Duration = Duration::from_secs(397 * 24 * 3_600);
/// A kept one is used while it is valid for so much longer.
const SPARE: Duration = Duration::from_secs(30 * 24 * 3_600);
/// What is kept begins with these lines, ahead of certificate and key in PEM.
const NAMES: &str = "Made by farpane for: ";
const UNTIL: &str = "Until, in seconds since 1970: ";

/// The certificate and the key in these files.
pub fn read(chain: &Path, key: &Path) -> Result<Tls, Failure> {
    let read = |path: &Path| {
        fs::read(path).map_err(|why| Failure {
            code: "cannot_read",
            message: format!("cannot read {}: {why}", path.display()),
            hint: "--tls-cert and --tls-key take files in PEM form that this user may read"
                .to_owned(),
        })
    };
    Tls::new(&read(chain)?, &read(key)?).map_err(|why| {
        let file = if matches!(why, TlsError::Key(_)) { key } else { chain };
        Failure {
            code: "bad_certificate",
            message: format!("{}: {why}", file.display()),
            hint: "--tls-cert takes the certificate and those that vouch for it, --tls-key its key, both in PEM form"
                .to_owned(),
        }
    })
}

/// One for these addresses and this machine's name, made now or before, and why it cannot be kept if it cannot.
pub fn own(addresses: &[IpAddr], host: &str) -> Result<(Tls, Option<String>), Failure> {
    let mut names: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    let is_name =
        |host: &str| host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    names.extend(
        ["localhost", host].iter().filter(|host| is_name(host)).map(|&host| host.to_owned()),
    );
    names.sort();
    names.dedup();
    let now = SystemTime::now();
    let place = place();
    if let Some(kept) = place.as_ref().and_then(|place| fs::read_to_string(place).ok())
        && serves(&kept, &names, now)
        && let Ok(tls) = Tls::new(kept.as_bytes(), kept.as_bytes())
    {
        return Ok((tls, None));
    }
    let made = make(&names, host, now).map_err(|why| cannot_make(&why))?;
    let tls = Tls::new(made.as_bytes(), made.as_bytes()).map_err(|why| cannot_make(&why))?;
    let kept = match &place {
        Some(place) => keep(place, &made).map_err(|why| format!("{}: {why}", place.display())),
        None => Err("there is no home directory".to_owned()),
    };
    let note = |why| {
        format!("the certificate cannot be kept, so that browsers will ask again next time ({why})")
    };
    Ok((tls, kept.err().map(note)))
}

fn cannot_make(why: &dyn std::error::Error) -> Failure {
    Failure {
        code: "system",
        message: format!("cannot make a certificate: {why}"),
        hint: "--tls-cert and --tls-key take one of your own".to_owned(),
    }
}

/// Where it is kept (XDG Base Directory Specification).
fn place() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value: &OsString| !value.is_empty());
    let data = set("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&set("HOME")?).join(".local/share")))?;
    Some(data.join("farpane/certificate.pem"))
}

/// Whether a kept certificate is for all these names and will be for a while.
fn serves(kept: &str, names: &[String], now: SystemTime) -> bool {
    let line = |start| kept.lines().find_map(|line| line.strip_prefix(start));
    let has = |name: &String| line(NAMES).is_some_and(|all| all.split(' ').any(|one| one == name));
    let until = line(UNTIL).and_then(|until| until.parse().ok()).map(Duration::from_secs);
    let needed = now.duration_since(UNIX_EPOCH).unwrap_or_default() + SPARE;
    names.iter().all(has) && until.is_some_and(|until| until > needed)
}

fn make(names: &[String], host: &str, now: SystemTime) -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, format!("Farpane on {host}"));
    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    // Clocks differ.
    params.not_before = (now - DAY).into();
    params.not_after = (now - DAY + VALID).into();
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let until = (now - DAY + VALID).duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (names, pem, key) = (names.join(" "), certificate.pem(), key.serialize_pem());
    Ok(format!("{NAMES}{names}\n{UNTIL}{until}\n{pem}{key}"))
}

/// For this user's eyes only; whoever reads it meanwhile reads the one before.
fn keep(place: &Path, made: &str) -> io::Result<()> {
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = place.with_extension(format!("new-{}", std::process::id()));
    let _ = fs::remove_file(&new);
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new);
    let written = file.and_then(|mut file| file.write_all(made.as_bytes()));
    written.and_then(|()| fs::rename(&new, place)).inspect_err(|_| {
        let _ = fs::remove_file(&new);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_kept_one_serves_for_its_names_and_its_time() {
        let now = SystemTime::now();
        let made = make(&names(&["127.0.0.1", "::1", "localhost"]), "box", now).unwrap();
        Tls::new(made.as_bytes(), made.as_bytes()).unwrap();
        assert!(serves(&made, &names(&["127.0.0.1", "localhost"]), now));
        assert!(!serves(&made, &names(&["127.0.0.1", "192.0.2.1"]), now));
        assert!(serves(&made, &names(&["::1"]), now + VALID - SPARE - 2 * DAY));
        assert!(!serves(&made, &names(&["::1"]), now + VALID - SPARE));
        for spoilt in ["", "Made by farpane for: ::1\n", "Until, in seconds since 1970: x\n"] {
            assert!(!serves(spoilt, &names(&["::1"]), now));
        }
    }

    #[test]
    fn it_is_kept_where_nobody_else_looks() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("farpane-kept-{}", std::process::id()));
        let place = folder.join("deeper/certificate.pem");
        for text in ["one", "another"] {
            keep(&place, text).unwrap();
            assert_eq!(fs::read_to_string(&place).unwrap(), text);
            assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(place.parent().unwrap()).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }
}
