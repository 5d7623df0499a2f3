# frozen_string_literal: true

# Rack sessions in session-gateway (Rack 2 and 3). In config.ru, in the place of Rack::Session::Cookie or ::Pool:
#
#     require 'session_gateway'
#     use Rack::Session::Gateway
#
# Options: `coder:`, an object with `dump` and `load` (plain JSON by default, which makes strings of symbols; Marshal runs what
# it finds, so that whoever can write to memcached could run code). The cookie and the id are the gateway's: Rack's options
# about them have no effect. See README.md of the adapters.

require 'json'
require 'rack'
require 'rack/session/abstract/id'

module Rack
  module Session
    class Gateway < Abstract::Persisted
      # What becomes of one request's session.
      ANSWER = 'session_gateway.answer'

      # Without what JSON.load adds: objects of classes that the text names, and nesting without a limit.
      module PlainJSON
        def self.dump(session)
          JSON.generate(session, allow_nan: true)
        end

        def self.load(blob)
          JSON.parse(blob, allow_nan: true)
        end
      end

      def initialize(app, options = {})
        options = options.dup
        @coder = options.delete(:coder) || PlainJSON
        super
      end

      private

      def extract_session_id(request)
        live?(request.env) ? request.env['SESSION_ID'] : nil
      end

      def find_session(request, _id)
        env = request.env
        blob = blob(env)
        session = blob.empty? ? {} : @coder.load(blob)
        raise TypeError, 'not a hash' unless session.is_a?(Hash)

        [env['SESSION_ID'] || generate_sid, session]
      rescue StandardError => error
        # It stays where it is until something is saved.
        answer(env)[:is_unreadable] = true
        env['rack.errors']&.puts("session-gateway: a session that cannot be decoded (#{error.class}): an empty one starts")
        [env['SESSION_ID'] || generate_sid, {}]
      end

      def write_session(request, id, session, _options)
        answer(request.env)[:blob] = session.empty? ? '' : @coder.dump(session)
        id
      end

      def delete_session(request, _id, options)
        answer(request.env)[:control] = options[:renew] ? 'regenerate' : 'destroy'
        options[:drop] ? nil : (request.env['SESSION_NEXT_ID'] || generate_sid)
      end

      public

      def commit_session(request, response)
        super
        env = request.env
        token = env['SESSION_TOKEN'] or return
        blob = answer(env)[:blob]
        control = answer(env)[:control]
        # Ended and begun anew: the new one takes the next id.
        control = 'regenerate' if control == 'destroy' && blob && !blob.empty?
        control = nil if control == 'regenerate' && blob.to_s.empty? && !live?(env)
        response.set_header('session-control', "#{token} #{control}") if control
        return if blob.nil? || control == 'destroy' || blob.b == blob(env)
        return if blob.empty? && answer(env)[:is_unreadable]

        response.set_header('session-data', "#{token} #{[blob].pack('m0')}".rstrip)
      end

      private

      # The gateway's cookie is the only one.
      def set_cookie(_request, _response, _cookie); end

      def live?(env)
        env['SESSION_STATE'] == 'live'
      end

      def answer(env)
        env[ANSWER] ||= {}
      end

      def blob(env)
        parts = (1..env['SESSION_DATA_PARTS'].to_i).map { |part| env["SESSION_DATA_#{part}"] }
        (env['SESSION_DATA'] || parts.join).unpack1('m0')
      end
    end
  end
end
