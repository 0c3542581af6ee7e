# shellcheck shell=bash
# Where a deployed Chuk Chat lives, and how one release takes over from another. Sourced by the
# scripts beside it, after they have set:
#
#   prefix     put before every path; empty for this machine itself
#   keep       so many releases stay
#   patience   seconds in which a release must become healthy
#   dry_run    yes: only say what would be done
#
# Set SYSTEMCTL to name another program than systemctl. Exit codes: 2 wrong usage or a wrong setting,
# 7 not root, 8 a program or a file is missing, 9 another deployment runs, 20 the new release stayed
# red and the old one goes on, 21 the books cannot be brought to the release's version, 22 no such release.

: "${prefix=}" "${keep:=3}" "${patience:=60}" "${dry_run:=no}"
# shellcheck disable=SC2034  # used by who sources this
opt=$prefix/opt/chuk etc=$prefix/etc/chuk state=$prefix/var/lib/chuk
# shellcheck disable=SC2034
units=$prefix/etc/systemd/system backups=$prefix/var/backups/chuk runtime=$prefix/run
systemctl=${SYSTEMCTL:-systemctl}
account=chuk
changes=0

# Whoever listened may be gone, as over a lost connection.
say() { printf '%s\n' "$*" >&2 || true; }

fail() {
    local code=$1
    shift
    printf 'Failed: %s\n' "$1" >&2
    shift
    if [ $# -gt 0 ]; then printf '  %s\n' "$@" >&2; fi
    exit "$code"
}

# Whether to do what is described: it is needed, and this is no dry run.
needed() {
    changes=$((changes + 1))
    if [ "$dry_run" = yes ]; then
        say "would: $*"
        return 1
    fi
    say "$*"
}

need_root() {
    if [ -z "$prefix" ] && [ "$(id -u)" != 0 ]; then
        fail 7 "this must run as root." "sudo $0"
    fi
}

# Runs a command on another machine, whose user is root or may use sudo without a password.
as_root_of() {
    local host=$1
    shift
    # shellcheck disable=SC2016  # the other side asks who it is
    ssh "$host" '$([ "$(id -u)" = 0 ] || echo sudo -n) '"$(printf '%q ' "$@")"
}

one_at_a_time() {
    if [ "$dry_run" = yes ] && [ ! -d "$opt" ]; then return; fi
    mkdir -p "$opt"
    exec 8>"$opt/.lock"
    flock -n 8 || fail 9 "another deployment is running on this machine."
}

is_service_user() { [ -z "$prefix" ]; }

# A path as the service sees it.
inside() { printf '%s' "${1#"$prefix"}"; }

state_of() { "$systemctl" is-active "chuk@$1.service" || true; }

release_of() { basename "$(readlink "$opt/runs/$1")"; }

current_release() { if [ -L "$opt/current" ]; then basename "$(readlink "$opt/current")"; fi; }

# The run that serves, or the last one that did.
current_run() { if [ -f "$opt/run" ]; then cat "$opt/run"; fi; }

# Runs a command of a release as the service, with the service's settings and secrets.
as_service() {
    local release=$1 secrets code=0 settings=$etc/chuk.toml
    shift
    # As in the unit; a release without that file reads only one.
    if [ -f "$opt/releases/$release/config/deployed.toml" ]; then settings=config/deployed.toml:$settings; fi
    secrets=$(mktemp -d)
    cp "$etc"/credentials/* "$secrets" 2>/dev/null || true
    local command=(env -i "PATH=/usr/bin:/bin" "LANG=C.UTF-8" "CREDENTIALS_DIRECTORY=$secrets"
        "CHUK_CONFIG=$settings" "CHUK_UPSTREAM_MODELS_FILE=$etc/models.toml"
        "CHUK_DATA_DIR=$state" "PYTHONDONTWRITEBYTECODE=1"
        "$opt/releases/$release/.venv/bin/python" -m chuk "$@")
    if is_service_user; then
        chown -R "$account:$account" "$secrets"
        command=(setpriv "--reuid=$account" "--regid=$account" --clear-groups --no-new-privs "${command[@]}")
    fi
    (cd "$opt/releases/$release" && umask 077 && "${command[@]}" 8>&-) || code=$?
    rm -rf "$secrets"
    return "$code"
}

# Brings the books to a release's version, or fails with what `chuk migrate` failed with.
migrate_books() {
    local code=0
    if [ -s "$etc/credentials/SUPABASE_SERVICE_ROLE_KEY" ] && [ ! -s "$etc/credentials/SUPABASE_DB_URL" ]; then
        say "SUPABASE_DB_URL is not among the credentials: its schema is yours to bring up to date."
        return
    fi
    as_service "$1" migrate >&2 || code=$?
    refuse_settings "$code"
    return "$code"
}

# A wrong setting is nothing that is wrong with the books.
refuse_settings() {
    [ "$1" != 2 ] ||
        fail 2 "a setting cannot be used: it is named above." "Mend it and run this again; what served goes on."
}

# Of this very run, however many share the port: 200, another status, or nothing.
health_of() {
    "$opt/runs/$1/.venv/bin/python" "$opt/runs/$1/scripts/lib/health.py" "$runtime/chuk-$1/http.sock" 8>&- || true
}

becomes_healthy() {
    local run=$1 until=$((SECONDS + patience)) status="" pause=0.1
    while [ "$SECONDS" -le "$until" ]; do
        status=$(health_of "$run")
        [ "$status" = 200 ] && return
        case $(state_of "$run") in
        failed | inactive) say "It has ended." && return 1 ;;
        esac
        sleep "$pause"
        pause=1
    done
    say "It is still not healthy after $patience s: ${status:-it does not answer}."
    return 1
}

# What a running server has read when it began, of this release.
fingerprint_of() {
    local places=("$etc" "$opt/releases/$1/config/systemd") place
    for place in "$units"/chuk@*.service.d "$units/chuk.socket.d"; do
        if [ -d "$place" ]; then places+=("$place"); fi
    done
    find "${places[@]}" -type f ! -name release.conf -exec cksum {} + | sort | cksum
}

install_units() {
    local release=$1 file
    for file in "$opt/releases/$release"/config/systemd/*; do
        if ! cmp -s "$file" "$units/${file##*/}"; then install -m 0644 "$file" "$units/"; fi
    done
}

# Whom a connection starts when nobody serves.
point_socket_at() {
    mkdir -p "$units/chuk.socket.d"
    printf '[Socket]\nService=chuk@%s.service\n' "$1" >"$units/chuk.socket.d/release.conf"
    "$systemctl" daemon-reload
}

new_run() {
    local release=$1 run=$1 number=1
    while [ -L "$opt/runs/$run" ]; do
        number=$((number + 1))
        run=$release.$number
    done
    printf '%s\n' "$run"
}

start_run() {
    local run=$1
    "$systemctl" --quiet is-active chuk.socket || "$systemctl" start chuk.socket || return
    # It takes no connection before it is healthy, so that nobody meets one that stays red.
    "$systemctl" start --no-block "chuk@$run.service" || return
    becomes_healthy "$run"
}

# Stops a run; whoever is answered is let finish.
retire_run() {
    "$systemctl" --quiet disable "chuk@$1.service" || true
    "$systemctl" stop --no-block "chuk@$1.service"
    # One that had failed is no longer anybody's concern.
    "$systemctl" --quiet reset-failed "chuk@$1.service" 2>/dev/null || true
}

# Every run but this one, however it came to be there: of a deployment that was cut off, too.
retire_others_than() {
    local link run
    for link in "$opt"/runs/*; do
        run=${link##*/}
        if [ -L "$link" ] && [ "$run" != "$1" ] && [ "$(state_of "$run")" != deactivating ]; then
            retire_run "$run"
        fi
    done
}

give_up_on() {
    local run=$1 before=$2 mark=$3
    trap '' INT TERM HUP
    say "Rolling back: $run is stopped${before:+, $before goes on}."
    "$systemctl" stop "chuk@$run.service" || true
    "$systemctl" --quiet reset-failed "chuk@$run.service" || true
    rm -f "$opt/runs/$run"
    if [ -n "$before" ]; then
        install_units "$(release_of "$before")"
        point_socket_at "$before"
        # A connection may have come while nobody served.
        "$systemctl" --quiet is-active "chuk@$before.service" || "$systemctl" start "chuk@$before.service" || true
        [ -z "$mark" ] || printf '%s\n' "$mark" >"$opt/fingerprint"
    fi
    fail 20 "$run did not become healthy." "journalctl -u chuk@$run.service"
}

# Let a release that is installed take over from whatever serves. While there is no fingerprint this
# has not come to its end, and whoever deploys next does it again.
activate() {
    local release=$1 run before mark
    # Somebody who does not read any longer changes nothing from here on.
    trap '' PIPE
    before=$(current_run)
    mark=$(cat "$opt/fingerprint" 2>/dev/null || true)
    rm -f "$opt/fingerprint"
    run=$(new_run "$release")
    mkdir -p "$opt/runs"
    # shellcheck disable=SC2064  # the run is known now
    trap "say 'It was interrupted.'; give_up_on '$run' '$before' '$mark'" INT TERM HUP
    ln -sfn "../releases/$release" "$opt/runs/$run"
    install_units "$release"
    point_socket_at "$run"
    start_run "$run" || give_up_on "$run" "$before" "$mark"
    # What is left takes a moment, and half of it is worse than either.
    trap '' INT TERM HUP
    ln -sfn "releases/$release" "$opt/current.new"
    mv -T "$opt/current.new" "$opt/current"
    printf '%s\n' "$run" >"$opt/run"
    printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$release" >>"$opt/history"
    "$systemctl" --quiet enable chuk.socket "chuk@$run.service"
    retire_others_than "$run"
    fingerprint_of "$release" >"$opt/fingerprint"
    trap - INT TERM HUP
    say "$run serves; what was there before lets its streams finish."
}

# Remove runs that have ended, and the releases beyond those to keep.
prune() {
    local link run release kept=" "
    for link in "$opt"/runs/*; do
        run=${link##*/}
        if [ "$run" = "$(current_run)" ]; then
            kept="$kept$(release_of "$run") "
        elif "$systemctl" --quiet is-active "chuk@$run.service" || is_ending "$run"; then
            kept="$kept$(release_of "$run") "
        else
            rm -f "$link"
        fi
    done
    for release in $(awk '{ print $2 }' "$opt/history" | tac | awk -v keep="$keep" '!seen[$0]++ && ++kept <= keep'); do
        kept="$kept$release "
    done
    for link in "$opt"/releases/*; do
        release=${link##*/}
        case $kept in
        *" $release "*) ;;
        *)
            # The backups made for it lead to releases that are gone even longer.
            if needed "removing release $release"; then rm -rf "$link" "$backups/before-$release"-*.backup; fi
            ;;
        esac
    done
}

is_ending() {
    case $(state_of "$1") in
    deactivating | reloading | activating) return 0 ;;
    *) return 1 ;;
    esac
}
