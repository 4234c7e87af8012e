# The list of behaviours with bunny: arguments are three broker URLs; one line per behaviour on standard output.
require "bunny"
require "securerandom"
require "timeout"

URLS = ARGV.first(3)
$stdout.sync = true

def connect(number = 0)
  Bunny.new(URLS[number % URLS.size], log_level: :fatal, automatically_recover: false).tap(&:start)
end

def queue_name = "clients-#{SecureRandom.uuid}"

def check(condition, text = "")
  raise text unless condition
end

def drain(queue, count)
  messages = Queue.new
  consumer = queue.subscribe(manual_ack: false) { |*message| messages << message }
  taken = Timeout.timeout(10) { Array.new(count) { messages.pop } }
  consumer.cancel
  taken
end

def behaviour(title)
  yield
  puts "ok #{title}"
rescue StandardError, Timeout::Error => e
  puts "failed #{title}: #{e.class} #{e.message} (line #{e.backtrace.grep(/bunny_client/).first.to_s[/:(\d+)/, 1]})"
end

def refused(error, text, number = 0)
  channel = connect(number).create_channel
  yield channel
  check(false, "not refused; wanted #{error}")
rescue error => e
  check(e.message.include?(text), e.message)
end

behaviour "publish-through-one-node-consume-through-another" do
  name = queue_name
  channel = connect.create_channel
  channel.confirm_select
  channel.queue(name, durable: true)
  50.times { |i| channel.default_exchange.publish(i.to_s, routing_key: name, persistent: true, mandatory: true) }
  check(channel.wait_for_confirms, "not confirmed")
  bodies = drain(connect(1).create_channel.queue(name, durable: true), 50).map { |_, _, body| body.to_i }
  check(bodies == (0...50).to_a, bodies.inspect)
  channel.queue_delete(name)
end

behaviour "properties-and-headers-come-back" do
  channel = connect.create_channel
  queue = channel.queue(queue_name)
  headers = { "text" => "plain", "number" => 2**40, "true" => true, "list" => [1, "two"], "table" => { "deep" => 1.5 }, "none" => nil }
  sent = {
    content_type: "text/plain", content_encoding: "utf-8", priority: 3, correlation_id: "c", reply_to: "r", expiration: "60000",
    message_id: "m", timestamp: 1_700_000_000, type: "t", user_id: "guest", app_id: "a", headers: headers
  }
  channel.default_exchange.publish("\x00\xff".b, sent.merge(routing_key: queue.name))
  _, properties, body = drain(queue, 1).first
  check(body.b == "\x00\xff".b, body.inspect)
  check(properties[:timestamp].to_i == sent.delete(:timestamp), "timestamp")
  sent.each { |key, value| check(properties[key] == value, "#{key}: #{properties[key].inspect}") }
  queue.delete
end

behaviour "an-unroutable-mandatory-message-is-returned" do
  channel = connect.create_channel
  returned = Queue.new
  exchange = channel.default_exchange
  exchange.on_return { |info, _, _| returned << info.reply_code }
  exchange.publish("x", routing_key: queue_name, mandatory: true)
  check(Timeout.timeout(10) { returned.pop } == 312)
end

behaviour "a-requeued-message-is-redelivered" do
  channel = connect.create_channel
  queue = channel.queue(queue_name, durable: true)
  channel.default_exchange.publish("again", routing_key: queue.name)
  info, = nil
  Timeout.timeout(10) { info, = queue.pop(manual_ack: true) until info }
  check(!info.redelivered?, "first delivery is marked redelivered")
  channel.nack(info.delivery_tag, false, true)
  info, _, body = drain(queue, 1).first
  check(info.redelivered? && body == "again", "after nack")
  queue.delete
end

behaviour "prefetch-bounds-what-is-unacknowledged" do
  channel = connect(1).create_channel
  queue = channel.queue(queue_name)
  10.times { |i| channel.default_exchange.publish(i.to_s, routing_key: queue.name) }
  channel.prefetch(3)
  tags = Queue.new
  queue.subscribe(manual_ack: true) { |info, *| tags << info.delivery_tag }
  last = Timeout.timeout(10) { Array.new(3) { tags.pop } }.last
  channel.queue(queue.name, passive: true)
  check(tags.empty?, "more than the prefetch")
  channel.ack(last, true)
  Timeout.timeout(10) { 3.times { tags.pop } }
  channel.queue(queue.name, passive: true)
  check(tags.empty?, "more than the prefetch after an ack")
  queue.delete
end

behaviour "errors-have-the-codes-and-texts-that-clients-match" do
  name = queue_name
  owner = connect.create_channel
  owner.queue(name, durable: true)
  refused(Bunny::NotFound, "NOT_FOUND - no queue '#{name}-missing' in vhost '/'") { |c| c.queue("#{name}-missing", passive: true) }
  refused(Bunny::PreconditionFailed, "inequivalent arg 'durable' for queue '#{name}' in vhost '/'", 1) { |c| c.queue(name, durable: false) }
  exclusive = owner.queue("", exclusive: true).name
  refused(Bunny::ResourceLocked, "cannot obtain exclusive access to locked queue '#{exclusive}'", 2) { |c| c.queue(exclusive, passive: true) }
  refused(Bunny::AccessRefused, "ACCESS_REFUSED") { |c| c.queue("amq.mine") }
  channel = connect.create_channel
  closed = Queue.new
  channel.on_error { |_, close| closed << close.reply_text }
  channel.acknowledge(99)
  check(Timeout.timeout(10) { closed.pop }.include?("PRECONDITION_FAILED - unknown delivery tag 99"))
  owner.queue_delete(name)
end

behaviour "exchanges-route-by-their-type" do
  channel = connect.create_channel
  queues = Array.new(2) { channel.queue("", exclusive: true) }
  [[:direct, %w[a b], "a", "c"], [:topic, ["*.x.#", "y.#"], "1.x.2.3", "1.z"], [:fanout, ["", "q"], "any", nil]].each do |type, keys, routed, missed|
    exchange = channel.exchange("#{type}-#{SecureRandom.uuid}", type: type, auto_delete: true)
    queues.zip(keys) { |queue, key| queue.bind(exchange, routing_key: key) }
    exchange.publish("missed", routing_key: missed) if missed
    exchange.publish(type.to_s, routing_key: routed)
    check(drain(queues.first, 1).first.last == type.to_s, type.to_s)
    exchange.delete
  end
  exchange = channel.headers("headers-#{SecureRandom.uuid}", auto_delete: true)
  queues.first.bind(exchange, arguments: { "x-match" => "all", "a" => 1, "b" => "two" })
  exchange.publish("no", headers: { "a" => 1 })
  exchange.publish("yes", headers: { "a" => 1, "b" => "two", "c" => 3 })
  check(drain(queues.first, 1).first.last == "yes", "headers")
end

behaviour "counts-purge-and-delete" do
  publisher, other = connect(0).create_channel, connect(1).create_channel
  publisher.confirm_select
  queue = publisher.queue(queue_name, durable: true)
  7.times { publisher.default_exchange.publish("x", routing_key: queue.name) }
  publisher.wait_for_confirms
  check(other.queue(queue.name, passive: true).message_count == 7, "count")
  check(other.queue_purge(queue.name).message_count == 7, "purged")
  publisher.default_exchange.publish("x", routing_key: queue.name)
  publisher.wait_for_confirms
  check(other.queue_delete(queue.name).message_count == 1, "deleted")
end

behaviour "a-consumer-hears-that-its-queue-is-gone" do
  queue = connect.create_channel.queue(queue_name)
  cancelled = Queue.new
  consumer = Bunny::Consumer.new(queue.channel, queue, queue.channel.generate_consumer_tag, false)
  consumer.on_cancellation { cancelled << true }
  queue.subscribe_with(consumer)
  connect(1).create_channel.queue_delete(queue.name)
  Timeout.timeout(10) { cancelled.pop }
end

behaviour "a-message-of-four-mebibytes-passes" do
  channel = connect.create_channel
  channel.confirm_select
  queue = channel.queue(queue_name, durable: true)
  body = (0..255).to_a.pack("C*") * 16_384
  channel.default_exchange.publish(body, routing_key: queue.name)
  channel.wait_for_confirms
  check(drain(connect(1).create_channel.queue(queue.name, durable: true), 1).first.last.b == body, "another body")
  queue.delete
end

exit!(0)
