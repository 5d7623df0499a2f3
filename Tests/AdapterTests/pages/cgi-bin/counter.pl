#!/usr/bin/perl
# CGI::Session with the driver of the gateway.
use strict;
use warnings;
use CGI;
use CGI::Session;

my $cgi = CGI->new;
my $session = CGI::Session->new('driver:gateway', $cgi) or die CGI::Session->errstr;
my $do = $cgi->param('do') || '';
if ($do eq 'count') {
    $session->param('n', ($session->param('n') || 0) + 1);
} elsif ($do eq 'big') {
    $session->param('text', join '', map { sprintf '%08d', $_ } 1 .. 40000);
} elsif ($do eq 'bytes') {
    $session->param('text', join '', map { chr } 0 .. 255);
} elsif ($do eq 'delete') {
    $session->delete;
    $session->flush;
} elsif ($do eq 'anew') {
    $session->delete;
    $session->flush;
    $session = CGI::Session->new('driver:gateway', $cgi);
    $session->param('n', 100);
}
print $session->header(-type => 'text/plain');
my $text = $session->param('text');
print 'n=', $session->param('n') // '', ' new=', ($session->is_new ? 1 : 0), ' id=', $session->id || '',
    defined $text ? ' text=' . length($text) . ':' . unpack('%32C*', $text) : '', "\n";
