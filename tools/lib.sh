# Shared by the commands in this folder: installs what is missing and says so first.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "error: $1"
    shift
    for line in "$@"; do say "  $line"; done
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# need_apt PACKAGE...: Debian packages, installed only when missing.
need_apt() {
    local missing=()
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    [ "$(id -u)" -eq 0 ] || have sudo || fail "these Debian packages are missing: ${missing[*]}" \
        "install them as root: apt-get install ${missing[*]}"
    say "Installing Debian packages: ${missing[*]}"
    as_root apt-get update -qq >/dev/null
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        "${missing[@]}" >/dev/null || fail "apt-get could not install: ${missing[*]}"
}

# need_packages COMMAND=PACKAGE...: where apt exists, sees that each command does too; elsewhere says what is wanted.
need_packages() {
    local packages=() commands=()
    for pair in "$@"; do
        have "${pair%%=*}" && continue
        commands+=("${pair%%=*}")
        case " ${packages[*]-} " in
        *" ${pair#*=} "*) ;;
        *) packages+=("${pair#*=}") ;;
        esac
    done
    [ ${#packages[@]} -eq 0 ] && return
    have apt-get || fail "these programs are missing: ${commands[*]}" \
        "this system has no apt, so install them its own way (on Debian the packages are: ${packages[*]})"
    need_apt "${packages[@]}"
}

need_rust() {
    have cargo || [ ! -x "$HOME/.cargo/bin/cargo" ] || PATH="$HOME/.cargo/bin:$PATH"
    have cargo || fail "Rust is missing" \
        "install it from https://rustup.rs (1.95 or newer), open a new terminal and run this command again"
    local version
    version=$(rustc --version | cut -d' ' -f2)
    [ "$(printf '1.95.0\n%s\n' "${version%%-*}" | sort -V | head -n1)" = 1.95.0 ] || fail \
        "Rust $version is too old; 1.95 or newer is needed" "run: rustup update stable"
}

# need_node: Node.js 18 or newer with npm.
need_node() {
    need_packages node=nodejs npm=npm
    local major
    major=$(node -p 'process.versions.node.split(".")[0]')
    [ "$major" -ge 18 ] || fail "Node.js $(node --version) is too old; 18 or newer is needed" \
        "install a newer one from https://nodejs.org and run this command again"
}

# need_modules FOLDER: its npm modules, installed again only when the lock file has changed.
need_modules() {
    local stamp="$root/$1/node_modules/.farpane-lock"
    cmp -s "$root/$1/package-lock.json" "$stamp" && return
    say "Installing npm modules for $1"
    (cd "$root/$1" && npm ci --no-audit --no-fund --loglevel=error) >&2 || fail "npm could not install the modules of $1"
    cp "$root/$1/package-lock.json" "$stamp"
}

# build_web: the browser client, built again only when a source of it has changed.
build_web() {
    need_node
    need_modules web
    local stamp="$root/web/dist/.farpane-sources" now
    now=$(cd "$root" && find web/src web/public web/index.html web/*.json web/*.ts crates/farpane-wire/proto -type f \
        -not -path 'web/src/gen/*' 2>/dev/null | sort | xargs sha256sum)
    [ -f "$stamp" ] && [ "$now" = "$(cat "$stamp")" ] && return
    say "Building the browser client"
    (cd "$root/web" && npm run --silent build >"$root/web/.build.log" 2>&1) || {
        cat "$root/web/.build.log" >&2
        fail "the browser client does not build"
    }
    rm -f "$root/web/.build.log"
    printf '%s' "$now" >"$stamp"
}
