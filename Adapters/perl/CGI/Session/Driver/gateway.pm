package CGI::Session::Driver::gateway;

# CGI::Session in session-gateway: CGI::Session->new('driver:gateway', ...), or for scripts as they are, whatever driver
# they name: PERL5OPT=-MCGI::Session::Driver::gateway=everywhere. See README.md of the adapters.
#
# The gateway has the session and its cookie; an id that the script asks for is only another name of the visitor's session.

use strict;
use warnings;
use CGI::Session;
use CGI::Session::Driver;
use IO::Socket::UNIX;
use MIME::Base64 qw(decode_base64 encode_base64);

our @ISA = ('CGI::Session::Driver');
our $VERSION = '1.0';

# Stands for a session that has been begun and not been stored yet.
my $BEGUN = '-';
my $is_everywhere = 0;
# What is known of the request that runs: its parameters, the blob that the gateway has (the script may store it several
# times), and whether the session is gone.
my $request;

sub import {
    my ($class, $word) = @_;
    $is_everywhere = 1 if defined $word && $word eq 'everywhere';
}

# A process of FastCGI serves many visitors: each request has a token of its own.
sub _request {
    my $token = $ENV{SESSION_TOKEN} || '';
    return $request if $token ne '' && $request && $request->{token} eq $token;
    return $request = {
        token => $token,
        state => $ENV{SESSION_STATE} || 'none',
        id => $ENV{SESSION_ID} || '',
        next_id => $ENV{SESSION_NEXT_ID} || '',
        late => $ENV{SESSION_LATE} || '',
        blob => decode_base64(
            join '', $ENV{SESSION_DATA} || '', map { $ENV{"SESSION_DATA_$_"} } 1 .. ($ENV{SESSION_DATA_PARTS} || 0)),
        is_gone => 0,
    };
}

sub _id { my $request = _request(); return $request->{is_gone} ? $request->{next_id} : $request->{id} }

# A session belongs to the request that made it, also when it is stored behind it.
sub init {
    my ($self) = @_;
    $self->{request} = _request();
    return 1;
}

sub retrieve {
    my ($self) = @_;
    my $data = $self->{request}{blob};
    return $data eq $BEGUN ? '' : $data;
}

sub store {
    my ($self, $sid, $data) = @_;
    my $request = $self->{request};
    return 1 if $data eq $request->{blob} || $request->{state} eq 'anonymous';
    return $self->set_error('this request did not come through the gateway, or its path is ignored there')
        unless $request->{token};
    $data = Encode::encode('UTF-8', $data) if utf8::is_utf8($data) && require Encode;
    _answer($request, 'Session-Data', encode_base64($data, ''));
    @$request{qw(blob is_gone)} = ($data, 0);
    return 1;
}

sub remove {
    my ($self) = @_;
    my $request = $self->{request};
    _answer($request, 'Session-Control', 'destroy') if $request->{token};
    @$request{qw(blob is_gone)} = ('', 1);
    return 1;
}

sub traverse {
    my ($self) = @_;
    return $self->set_error('the gateway does not list its sessions');
}

# By the socket for late answers, which takes what is said before the script's head too, and answers when it is saved; where
# it cannot be reached by the error stream, in short lines.
sub _answer {
    my ($request, $name, $value) = @_;
    my $socket = IO::Socket::UNIX->new(Peer => $request->{late}, Timeout => 10);
    if ($socket) {
        local $SIG{PIPE} = 'IGNORE';
        print $socket "$name: $request->{token} $value\n";
        $socket->flush;
        $socket->shutdown(1);
        local $SIG{ALRM} = sub { close $socket };
        my $rest = alarm 10;
        scalar <$socket>;
        alarm $rest;
        return;
    }
    my @parts = $value =~ /(.{1,760})/gs;
    if ($name eq 'Session-Data') {
        @parts = ('') unless @parts;
        my $number = 0;
        $_ = ++$number . '/' . @parts . " $_" for @parts;
    }
    print STDERR "\n", map { "$name: $request->{token} $_\n" } @parts;
}

# The gateway's cookie has another name than the one that CGI::Session looks for, and its ids are the gateway's.
{
    no warnings 'redefine';

    my $load_pluggables = \&CGI::Session::_load_pluggables;
    *CGI::Session::_load_pluggables = sub {
        my ($self) = @_;
        $self->{_DSN}{driver} = 'gateway' if $is_everywhere;
        $load_pluggables->(@_);
        # Now, while its request runs.
        $self->_driver if ($self->{_DSN}{driver} || '') eq 'gateway';
        return;
    };

    my $query = \&CGI::Session::query;
    *CGI::Session::query = sub {
        my ($self) = @_;
        my $caller = (caller 1)[3] || '';
        return $query->(@_) unless $caller eq 'CGI::Session::load' && ($self->{_DSN}{driver} || '') eq 'gateway';
        return bless {}, 'CGI::Session::Driver::gateway::Query';
    };

    my $id_generator = \&CGI::Session::_id_generator;
    *CGI::Session::_id_generator = sub {
        my ($self) = @_;
        return $id_generator->(@_) unless ($self->{_DSN}{driver} || '') eq 'gateway';
        return bless {}, 'CGI::Session::Driver::gateway::ID';
    };
}

package CGI::Session::Driver::gateway::Query;

sub cookie {
    return CGI::Session::Driver::gateway::_request()->{state} eq 'live' ? CGI::Session::Driver::gateway::_id() : undef;
}
sub param { return undef }

package CGI::Session::Driver::gateway::ID;

# A new session is told to the gateway at once: the browser gets its cookie with the head, and CGI::Session stores the
# data only at the end of the script.
sub generate_id {
    my $request = CGI::Session::Driver::gateway::_request();
    CGI::Session::Driver::gateway::_answer($request, 'Session-Data', MIME::Base64::encode_base64($BEGUN, ''))
        if $request->{token};
    $request->{blob} = $BEGUN;
    return CGI::Session::Driver::gateway::_id() || join '', map { sprintf '%08x', int rand 2**32 } 1 .. 4;
}

1;
