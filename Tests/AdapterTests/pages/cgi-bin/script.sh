#!/bin/sh
# A script of sh with session.sh.
set -e
export LC_ALL=C.UTF-8
. "$ADAPTERS/shell/session.sh"
case $QUERY_STRING in
    count) session_set n $(($(session_get n || echo 0) + 1)) ;;
    odd) session_set odd "100% of 'this' \"and\" \\n \$HOME
second line " ;;
    bytes) session_set odd "$(printf 'caf\351')" ;;
    big) session_set big "$(seq 1 20000)" ;;
    login) session_regenerate; session_set user me ;;
    logout) session_destroy ;;
    anew) session_destroy; session_set n 100 ;;
    unset) session_unset n ;;
esac
session_headers
printf 'Content-Type: text/plain\n\n'
printf 'n=%s user=%s ' "$(session_get n)" "$(session_get user)"
session_get odd | od -An -c | tr -d ' \n'
session_get big | cksum
