#!/usr/bin/ruby
# A Rack application by Rack's CGI handler.
require 'rack'
require 'session_gateway'

application = Rack::Builder.new do
  use Rack::Session::Gateway
  run(lambda do |env|
    request = Rack::Request.new(env)
    session = request.session
    case request.params['do']
    when 'count' then session['n'] = (session['n'] || 0) + 1
    when 'big' then session['text'] = '0123456789' * 30_000
    when 'login'
      session['user'] = 'ü'
      request.session_options[:renew] = true
    when 'logout' then session.destroy
    when 'drop' then request.session_options[:drop] = true
    when 'anew'
      session.destroy
      session['n'] = 100
    when 'untouched' then return [200, { 'content-type' => 'text/plain' }, ['untouched']]
    end
    text = "n=#{session['n']} user=#{session['user']} text=#{session['text'].to_s.length} id=#{session.id}\n"
    [200, { 'content-type' => 'text/plain' }, [text]]
  end)
end

Rack::Handler::CGI.run(application)
