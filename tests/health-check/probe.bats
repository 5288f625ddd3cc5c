# scripts/health-check against a real weir, and against endpoints that are broken in every way; run by `scripts/test-health-checks --probe`
# once for each shell and each program that asks. From there come:
#   PROBE       the command that runs the script, in words: the shell and the script
#   CLIENT      curl, wget, busybox or weir
#   TOOLS       a folder with that client and what a plain system has, the only one in PATH
#   PORTS       NAME=PORT lines of server.py
#   WEIR_PORT   where a real weir is; REDIS, the command that reaches its Redis

setup() {
    . "$PORTS"
}

probe() {
    # shellcheck disable=SC2086 # words
    run env -i PATH="$TOOLS" $PROBE "$@"
}

# The last answer's exit status and beginning, and that it is one line.
is() {
    printf 'status %s: %s\n' "$status" "$output"
    [ "$status" = "$1" ]
    case $output in
    "$2"*) ;;
    *) return 1 ;;
    esac
    [ "${#lines[@]}" = 1 ]
}

has() {
    printf '%s\n' "$output"
    case $output in
    *"$1"*) ;;
    *) return 1 ;;
    esac
}

@test "a real weir that is well" {
    probe -p "$WEIR_PORT"
    is 0 "WEIR OK - healthy, http://127.0.0.1:$WEIR_PORT/health | time="
    has ';;;0;5 lag='
    has ' pending='
}

@test "a real weir is alive and ready" {
    probe -p "$WEIR_PORT" -u /health/live
    is 0 'WEIR OK - answers'
    probe -p "$WEIR_PORT" -u /health/ready -H localhost -t 9
    is 0 'WEIR OK - ready'
}

@test "a real weir within its limits" {
    probe -p "$WEIR_PORT" -w 1000 -c 5000 -W 300 -C 900
    is 0 'WEIR OK - healthy'
    has 'lag=0;1000;5000;0'
    has 's;300;900;0'
}

@test "a real weir beyond its limits: no event waits, and at least one is called good" {
    probe -p "$WEIR_PORT" --lag-warning 1:
    is 1 'WEIR WARNING - healthy, lag 0 (warning: 1:)'
    probe -p "$WEIR_PORT" --lag-critical=1: -w 5
    is 2 'WEIR CRITICAL - healthy, lag 0 (critical: 1:)'
    probe -p "$WEIR_PORT" --age-critical=1:
    is 2 'WEIR CRITICAL - healthy, oldest pending 0'
}

@test "a real weir whose port is asked for something else" {
    probe -p "$WEIR_PORT" -u /nowhere
    if [ "$CLIENT" = weir ]; then
        is 3 'WEIR UNKNOWN - weir healthcheck cannot ask /nowhere'
    else
        is 3 'WEIR UNKNOWN - status 404, is this weir?'
    fi
}

@test "each limit, on both sides" {
    for line in '-w 3:0' '-w 2:1' '-c 2:2' '-w 4:0' '-w 4::1' '-w 3::0' '-c ~:3:0' '-c ~:2:2' '-w @0:3:1' '-w @4:9:0' \
        '-W 1.5:0' '-W 1.4:1' '-C 1.4:2' '-W 1:2:0' '-W 2:9:1' '-w 0:3:0' '-w :3:0' '-w :2:1'; do
        option=${line%% *}
        rest=${line#* }
        probe -p "$healthy" "$option" "${rest%:*}"
        printf '%s: ' "$line"
        is "${rest##*:}" 'WEIR '
    done
}

@test "a critical limit beats a warning limit, and the state beats a limit that is kept" {
    probe -p "$behind" -w 1000 -c 5000 -W 900 -C 1800
    is 2 'WEIR CRITICAL - healthy, lag 1200 (warning: 1000), oldest pending 1801.25s (critical: 1800)'
    has 'lag=1200;1000;5000;0 pending=900;;;0 oldest_pending=1801.25s;900;1800;0'
    probe -p "$degraded" -w 1000 -c 5000
    is 1 'WEIR WARNING - degraded, reasons: dead_letters,lag_high'
    probe -p "$degraded" -c 1
    is 2 'WEIR CRITICAL - degraded, lag 3 (critical: 1), reasons: dead_letters,lag_high'
}

@test "without limits only the state counts" {
    probe -p "$behind"
    is 0 'WEIR OK - healthy'
    probe -p "$degraded"
    is 1 'WEIR WARNING - degraded'
}

@test "unhealthy is critical, and says why where the client shows the body of an error" {
    probe -p "$unhealthy" -w 1000
    is 2 'WEIR CRITICAL - unhealthy'
    [ "$CLIENT" = busybox ] || has 'reasons: redis_unreachable'
    probe -p "$terse"
    is 2 'WEIR CRITICAL - unhealthy'
}

@test "a figure that is not known is no reason to say that all is well" {
    probe -p "$ignorant" -w 1000
    is 3 'WEIR UNKNOWN - healthy, lag is not known'
    probe -p "$ignorant" -C 900
    is 3 'WEIR UNKNOWN - healthy, oldest pending is not known'
    probe -p "$ignorant"
    is 0 'WEIR OK - healthy'
}

@test "what is no weir cannot be told" {
    probe -p "$page"
    is 3 'WEIR UNKNOWN - no health answer, is this weir?'
    probe -p "$missing"
    is 3 'WEIR UNKNOWN - status 404, is this weir?'
}

@test "nobody, nothing and nonsense are critical" {
    for port in "$nobody" "$empty" "$garbage"; do
        probe -p "$port" -t 2 -w 10
        is 2 'WEIR CRITICAL - no answer within 2 s'
    done
}

@test "an answer that breaks off is none" {
    probe -p "$cut" -t 2
    if [ "$CLIENT" = weir ]; then
        is 3 'WEIR UNKNOWN - no health answer, is this weir?'
    else
        is 2 'WEIR CRITICAL - no answer within 2 s'
    fi
}

@test "silence, a trickle and an endless answer end in time" {
    for port in "$silent" "$trickle" "$endless"; do
        begin=$(date +%s)
        probe -p "$port" -t 1
        took=$(($(date +%s) - begin))
        printf 'took %s s: ' "$took"
        is 2 'WEIR CRITICAL - no answer within 1 s'
        [ "$took" -le 3 ]
    done
}

@test "a redirection is not followed into health" {
    probe -p "$moved" -t 2
    [ "$status" -ge 2 ]
    case $output in
    'WEIR OK'*) false ;;
    esac
}

@test "wrong arguments are told, and nothing is asked" {
    for arguments in '-p x' '-p 123456' '-t 0' '-t 61' '-H a;b' '-u health' '-Z' 'more' '-p' '-w' '-w x' '-w 1:2:3' '-c @' '-c -1' \
        '-W 1e3' '-w 5 -u /health/live' '--lag-warn 5' '--nonsense'; do
        # shellcheck disable=SC2086 # words
        probe $arguments
        printf '%s: ' "$arguments"
        is 3 'WEIR UNKNOWN - '
    done
    probe -w ''
    is 3 'WEIR UNKNOWN - not a range'
}

@test "help and version" {
    probe -h
    [ "$status" = 0 ]
    [ "${lines[0]}" = 'Usage: health-check [-H HOST] [-p PORT] [-u PATH] [-t SECONDS]' ]
    probe --help
    [ "$status" = 0 ]
    probe -V
    is 0 'health-check 1.'
}
