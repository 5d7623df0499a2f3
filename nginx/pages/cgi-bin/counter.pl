#!/usr/bin/perl
# The session comes in as SESSION_DATA and goes back as the header Session-Data; that is all.
use strict;
use warnings;
use MIME::Base64;

my $session = decode_base64($ENV{SESSION_DATA} // '');
my $count = $session =~ /^count=([0-9]{1,15})$/m ? $1 + 1 : 1;

print "Session-Data: $ENV{SESSION_TOKEN} ", encode_base64("count=$count\n", ''), "\n";
print "Content-Type: text/html; charset=utf-8\n\n";
print <<"END";
<!DOCTYPE html><title>Counter</title>
<p>Perl counts: <b>$count</b></p>
<p>The same session in <a href="/counter.php">PHP</a>, <a href="/cgi-bin/counter.pl">Perl</a>,
<a href="/cgi-bin/counter.py">Python</a>, <a href="/cgi-bin/counter.sh">shell</a>.</p>
END
