#!/bin/sh
# What the gateway and what a shell script take for the session.
name=${QUERY_STRING#name=}
found=
IFS=';'
set -f
for pair in $HTTP_COOKIE; do
    pair=${pair#"${pair%%[! ]*}"}
    case $pair in
        "$name="*) found=${pair#*=}; break ;;
    esac
done
printf 'Content-Type: text/plain\n\n%s %s [%s]' "$SESSION_STATE" "$SESSION_ID" "$found"
