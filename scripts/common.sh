# shellcheck shell=sh
# shellcheck disable=SC2034 # redis_server is for the scripts that source this
# What demo, test and check share: finding a Redis server and installing what is missing. Sourced, never run.

# Prints its arguments on standard error, so that standard output stays the result.
say() {
    printf '%s\n' "$*" >&2
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# Prints the path of redis-server or valkey-server; fails when there is neither.
find_redis() {
    for name in redis-server valkey-server; do
        for folder in "" /usr/bin/ /usr/sbin/ /usr/local/bin/ /opt/homebrew/bin/; do
            if [ -n "$folder" ]; then
                [ -x "$folder$name" ] && printf '%s\n' "$folder$name" && return 0
            else
                command -v "$name" 2>/dev/null && return 0
            fi
        done
    done
    return 1
}

# Whether the package manager may be used without asking: root on Debian or Ubuntu, or told so with --install.
may_install() {
    has apt-get && { [ "$(id -u)" = 0 ] || [ "${install:-no}" = yes ]; }
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# Installs Debian packages; the list of packages is fetched once.
apt_install() {
    if [ "${apt_updated:-no}" = no ]; then
        say "weir: fetching the list of packages (apt-get update)"
        as_root apt-get update -q >&2 || say "weir: apt-get update failed; trying with the list at hand"
        apt_updated=yes
    fi
    say "weir: installing $* (apt-get install)"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" >&2
}

# The one right line for this machine. $1: what it is on Debian; $2: on Fedora; $3: on Alpine; $4: with Homebrew.
install_line() {
    if has apt-get; then
        printf 'sudo apt-get update && sudo apt-get install -y %s' "$1"
    elif has dnf; then
        printf 'sudo dnf install -y %s' "$2"
    elif has apk; then
        printf 'sudo apk add %s' "$3"
    elif has brew; then
        printf 'brew install %s' "$4"
    else
        printf 'with your package manager: %s' "$1"
    fi
}

# Makes sure that a Redis server is at hand, and sets redis_server.
need_redis() {
    if ! redis_server=$(find_redis) && may_install; then
        say "weir: no redis-server here yet. (The package also starts a service of its own on port 6379; weir's scripts do not use it.)"
        apt_install redis-server || apt_install valkey-server || true
    fi
    if ! redis_server=$(find_redis); then
        say "weir: neither redis-server nor valkey-server found. Install one, then run this again:"
        say "    $(install_line redis-server valkey valkey valkey)"
        return 1
    fi
}

# Makes sure that a command is at hand. $1: the command; $2 to $5: its package on Debian, Fedora, Alpine, Homebrew.
need_command() {
    has "$1" && return 0
    if may_install; then
        # shellcheck disable=SC2086 # a package name may be several
        apt_install $2 || true
    fi
    has "$1" && return 0
    say "weir: the command $1 is missing. Install it, then run this again:"
    say "    $(install_line "$2" "$3" "$4" "$5")"
    return 1
}

# Makes sure that Rust can build: cargo, and a C compiler to link and to build the cryptography crate.
need_toolchain() {
    if ! has cargo && [ -x "$HOME/.cargo/bin/cargo" ]; then
        PATH="$HOME/.cargo/bin:$PATH"
        export PATH
    fi
    if ! has cargo; then
        say "weir: cargo is missing. Install Rust from https://rustup.rs, then run this again."
        return 1
    fi
    need_command cc "gcc libc6-dev" gcc "gcc musl-dev" gcc
}

# Prints the folder that cargo builds into.
target_folder() {
    cargo metadata --format-version 1 --no-deps --offline --locked 2>/dev/null |
        sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
}
