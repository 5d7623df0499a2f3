# Sessions in session-gateway for CGI scripts of sh: . /usr/share/session-gateway/shell/session.sh
#
#   session_get NAME         prints a value; status 1 where there is none
#   session_set NAME VALUE   names of letters, digits, _ and -
#   session_unset NAME
#   session_regenerate       a new id, at every sign-in
#   session_destroy
#   session_headers          prints what the gateway has to know: once, among the lines of the script's head
#
# Needs base64, sed and grep. A value is any text, in any encoding: its line breaks are kept, those at its end too. Scripts may
# `set -e`.

session_control= session_new_line='
'
session_lines=$(
    {
        printf %s "${SESSION_DATA-}"
        part=0
        while [ "$part" -lt "${SESSION_DATA_PARTS:-0}" ]; do
            part=$((part + 1))
            eval "printf %s \"\$SESSION_DATA_$part\""
        done
    } | base64 -d
)
session_loaded=$session_lines

session_get() {
    session_line=$(printf '%s\n' "$session_lines" | grep -a "^$1=") || return 1
    printf %b "$(printf '%s' "${session_line#*=}" | sed 's/\\/\\\\/g; s/%0A/\\n/g; s/%25/%/g')"
}
session_unset() { session_lines=$(printf '%s\n' "$session_lines" | grep -a -v "^$1=" | grep -a .) || :; }
session_set() {
    session_unset "$1"
    session_value=$(printf '%s.' "$2" | sed 's/%/%25/g' | sed -e ':a' -e '$!{N;ba' -e '}' -e 's/\n/%0A/g')
    session_lines="$session_lines${session_lines:+$session_new_line}$1=${session_value%.}"
}
session_regenerate() { session_control=regenerate; }
session_destroy() { session_control=destroy session_lines=; }
session_headers() {
    [ -n "${SESSION_TOKEN-}" ] || return 0
    [ "$session_control" = destroy ] && [ -n "$session_lines" ] && session_control=regenerate
    [ "$session_control" = regenerate ] && [ -z "$session_lines" ] && [ "$SESSION_STATE" != live ] && session_control=
    [ -n "$session_control" ] && printf 'Session-Control: %s %s\n' "$SESSION_TOKEN" "$session_control"
    [ "$session_control" != destroy ] && [ "$session_lines" != "$session_loaded" ] && \
        printf 'Session-Data: %s %s\n' "$SESSION_TOKEN" "$(printf %s "$session_lines" | base64 -w 0)"
    return 0
}
