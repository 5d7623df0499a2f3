#!/usr/bin/perl
# CGI::Session in a process of FastCGI that stays, with the session in a global variable: what the script has not
# flushed is stored when the next request's session takes its place.
use strict;
use warnings;
use CGI;
use CGI::Session;
use FCGI;

our $session;
my $fcgi = FCGI::Request(\*STDIN, \*STDOUT, \*STDERR, \%ENV, FCGI::OpenSocket($ARGV[0], 5));
while ($fcgi->Accept >= 0) {
    CGI::initialize_globals();
    my $do = $ENV{QUERY_STRING};
    $session = CGI::Session->new('driver:gateway', CGI->new) or die CGI::Session->errstr;
    $session->param('n', ($session->param('n') || 0) + 1) if $do =~ /^count/;
    my $text = 'n=' . ($session->param('n') // '') . ' id=' . $session->id . "\n";
    $session->delete if $do eq 'delete';
    $session->flush unless $do eq 'count-later';
    print "Content-Type: text/plain\n\n$text";
}
