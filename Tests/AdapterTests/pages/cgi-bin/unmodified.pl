#!/usr/bin/perl
# A script that knows nothing of the gateway: its sessions would be files.
use strict;
use warnings;
use CGI;
use CGI::Session;

my $cgi = CGI->new;
my $session = CGI::Session->new(undef, $cgi, { Directory => '/nowhere' }) or die CGI::Session->errstr;
$session->param('n', ($session->param('n') || 0) + 1);
print $session->header(-type => 'text/plain'), 'n=', $session->param('n'), "\n";
