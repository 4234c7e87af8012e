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

behaviour "what-a-cancelled-consumer-holds-can-be-acknowledged" do
  channel = connect(1).create_channel
  channel.confirm_select
  queue = channel.queue(queue_name, durable: true)
  3.times { |i| channel.default_exchange.publish(i.to_s, routing_key: queue.name) }
  channel.wait_for_confirms
  tags = Queue.new
  consumer = queue.subscribe(manual_ack: true) { |info, *| tags << info.delivery_tag }
  held = Timeout.timeout(10) { Array.new(3) { tags.pop } }
  consumer.cancel
  channel.ack(held[1])
  channel.nack(held[2], false, false)
  channel.reject(held[0], true)
  info, _, body = drain(queue, 1).first
  check(info.redelivered? && body == "0", "#{body} came back")
  check(channel.queue_delete(queue.name).message_count.zero?, "messages are left")
end

behaviour "recover-brings-back-what-is-unacknowledged" do
  channel = connect.create_channel
  channel.confirm_select
  queue = channel.queue(queue_name, durable: true)
  channel.default_exchange.publish("again", routing_key: queue.name)
  channel.wait_for_confirms
  info, = queue.pop(manual_ack: true)
  check(!info.redelivered?, "first delivery is marked redelivered")
  channel.basic_recover(true)
  info, _, body = drain(queue, 1).first
  check(info.redelivered? && body == "again", "after recover")
  queue.delete
end

behaviour "an-exclusive-consumer-keeps-others-out" do
  queue = connect.create_channel.queue(queue_name)
  refusal = "ACCESS_REFUSED - queue '#{queue.name}' in vhost '/' in exclusive use"
  consumer = queue.subscribe(exclusive: true) { nil }
  refused(Bunny::AccessRefused, refusal, 1) { |c| c.basic_consume(queue.name) }
  consumer.cancel
  connect(1).create_channel.basic_consume(queue.name)
  refused(Bunny::AccessRefused, refusal, 2) { |c| c.basic_consume(queue.name, "", true, true) }
  queue.delete
end

behaviour "an-auto-delete-queue-goes-with-its-last-consumer" do
  channel = connect.create_channel
  queue = channel.queue(queue_name, auto_delete: true)
  first, second = Array.new(2) { queue.subscribe { nil } }
  first.cancel
  channel.queue(queue.name, passive: true)
  second.cancel
  refused(Bunny::NotFound, "no queue '#{queue.name}'") { |c| c.queue(queue.name, passive: true) }
end

behaviour "a-queue-in-use-or-with-messages-is-not-deleted-on-condition" do
  channel = connect.create_channel
  channel.confirm_select
  queue = channel.queue(queue_name, durable: true)
  channel.default_exchange.publish("x", routing_key: queue.name)
  channel.wait_for_confirms
  refused(Bunny::PreconditionFailed, "queue '#{queue.name}' in vhost '/' not empty", 1) { |c| c.queue_delete(queue.name, if_empty: true) }
  queue.purge
  consumer = queue.subscribe { nil }
  refused(Bunny::PreconditionFailed, "queue '#{queue.name}' in vhost '/' in use", 1) { |c| c.queue_delete(queue.name, if_unused: true) }
  consumer.cancel
  channel.queue_delete(queue.name, if_unused: true, if_empty: true)
  exchange = channel.fanout(queue_name)
  channel.queue("", exclusive: true).bind(exchange)
  refused(Bunny::PreconditionFailed, "exchange '#{exchange.name}' in vhost '/' in use", 1) { |c| c.exchange_delete(exchange.name, if_unused: true) }
  exchange.delete
end

behaviour "a-transaction-is-all-or-nothing" do
  channel, other = connect.create_channel, connect(1).create_channel
  queue = channel.queue(queue_name, durable: true)
  count = -> { other.queue(queue.name, passive: true).message_count }
  channel.tx_select
  { tx_rollback: 0, tx_commit: 2 }.each do |finish, wanted|
    2.times { |i| channel.default_exchange.publish(i.to_s, routing_key: queue.name) }
    check(count.call.zero?, "published before the commit")
    channel.public_send(finish)
    check(count.call == wanted, "not #{wanted} messages")
  end
  info, = queue.pop(manual_ack: true)
  channel.ack(info.delivery_tag)
  channel.tx_rollback
  channel.basic_ack(info.delivery_tag.to_i, false)
  channel.tx_commit
  channel.close
  check(other.queue_delete(queue.name).message_count == 1, "one acknowledged message stays")
end

behaviour "an-exchange-passes-on-to-a-bound-exchange" do
  channel = connect.create_channel
  source, destination = channel.topic(queue_name), channel.fanout(queue_name)
  queue = channel.queue("", exclusive: true).bind(destination)
  destination.bind(source, routing_key: "a.*")
  source.publish("missed", routing_key: "b.c")
  source.publish("routed", routing_key: "a.b")
  info, _, body = drain(queue, 1).first
  check(body == "routed" && info.exchange == source.name, "#{body} from #{info.exchange}")
  destination.unbind(source, routing_key: "a.*")
  returned = Queue.new
  source.on_return { |*| returned << true }
  source.publish("x", routing_key: "a.b", mandatory: true)
  Timeout.timeout(10) { returned.pop }
  [source, destination].each(&:delete)
end

behaviour "an-alternate-exchange-takes-what-has-no-route" do
  channel = connect.create_channel
  alternate = channel.fanout(queue_name)
  exchange = channel.direct(queue_name, arguments: { "alternate-exchange" => alternate.name })
  queue = channel.queue("", exclusive: true).bind(alternate)
  exchange.publish("caught", routing_key: "nobody", mandatory: true)
  check(drain(queue, 1).first.last == "caught", "another message")
  [exchange, alternate].each(&:delete)
end

behaviour "a-request-is-answered-through-direct-reply-to" do
  asking, serving = connect(0).create_channel, connect(1).create_channel
  queue = serving.queue(queue_name)
  answers = Queue.new
  asking.basic_consume("amq.rabbitmq.reply-to", "", true) { |_, _, body| answers << body }
  asking.default_exchange.publish("2", routing_key: queue.name, reply_to: "amq.rabbitmq.reply-to")
  _, request, body = drain(queue, 1).first
  serving.default_exchange.publish(body * 2, routing_key: request.reply_to)
  check(Timeout.timeout(10) { answers.pop } == "22", "another answer")
  queue.delete
end

exit!(0)
