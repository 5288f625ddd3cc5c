# A real weir whose Redis has just been stopped; run by `run` after probe.bats.

@test "a weir that has lost its Redis turns critical within seconds, also beside limits that are kept" {
    end=$(($(date +%s) + 15))
    while :; do
        # shellcheck disable=SC2086 # words
        run env -i PATH="$TOOLS" $PROBE -p "$WEIR_PORT" -w 1000
        [ "$status" = 0 ] && [ "$(date +%s)" -lt "$end" ] || break
    done
    printf '%s\n' "$output"
    [ "$status" = 2 ]
    case $output in
    'WEIR CRITICAL - unhealthy, reasons: redis_unreachable'*) ;;
    *) false ;;
    esac
}
