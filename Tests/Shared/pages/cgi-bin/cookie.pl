#!/usr/bin/perl
# What the gateway and what Perl take for the session.
use strict;
use warnings;
use CGI::Cookie;

my ($name) = $ENV{QUERY_STRING} =~ /^name=(.*)$/;
my $found = {CGI::Cookie->fetch}->{$name};
my $seen = defined $found ? join('&', $found->value) : '';
print "Content-Type: text/plain\n\n$ENV{SESSION_STATE} $ENV{SESSION_ID} [$seen]";
