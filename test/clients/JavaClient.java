// The list of behaviours with the RabbitMQ Java client: arguments are three broker URLs; one line per behaviour on standard output.

import com.rabbitmq.client.*;
import com.rabbitmq.client.impl.LongStringHelper;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;

public class JavaClient {
  interface Action<T> {
    void run(T value) throws Exception;
  }

  static final List<Connection> open = new ArrayList<>();
  static String[] urls;

  static Channel connect(int number) throws Exception {
    ConnectionFactory factory = new ConnectionFactory();
    factory.setUri(urls[number % urls.length]);
    factory.setAutomaticRecoveryEnabled(false);
    Connection connection = factory.newConnection();
    open.add(connection);
    return connection.createChannel();
  }

  static String name() {
    return "clients-" + UUID.randomUUID();
  }

  static void check(boolean condition, String text) {
    if (!condition) throw new AssertionError(text);
  }

  static String exclusiveQueue(Channel channel) throws Exception {
    return channel.queueDeclare("", false, true, false, null).getQueue();
  }

  static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  static <T> T receive(BlockingQueue<T> queue) throws Exception {
    T value = queue.poll(10, TimeUnit.SECONDS);
    check(value != null, "nothing within 10 s");
    return value;
  }

  static List<Delivery> drain(Channel channel, String queue, int count) throws Exception {
    BlockingQueue<Delivery> deliveries = new LinkedBlockingQueue<>();
    String tag = channel.basicConsume(queue, true, new DefaultConsumer(channel) {
      @Override
      public void handleDelivery(String tag, Envelope envelope, AMQP.BasicProperties properties, byte[] body) {
        deliveries.add(new Delivery(envelope, properties, body));
      }
    });
    List<Delivery> taken = new ArrayList<>();
    while (taken.size() < count) taken.add(receive(deliveries));
    channel.basicCancel(tag);
    return taken;
  }

  static void refused(int code, String text, int number, Action<Channel> action) throws Exception {
    Channel channel = connect(number);
    BlockingQueue<ShutdownSignalException> closed = new LinkedBlockingQueue<>();
    channel.addShutdownListener(closed::add);
    try {
      action.run(channel);
    } catch (Exception expected) {
      // The listener hears the reason.
    }
    AMQP.Channel.Close reason = (AMQP.Channel.Close) receive(closed).getReason();
    check(reason.getReplyCode() == code && reason.getReplyText().contains(text), reason.toString());
  }

  static void behaviour(String title, Action<Void> body) {
    try {
      body.run(null);
      System.out.println("ok " + title);
    } catch (Throwable error) {
      int line = Stream.of(error.getStackTrace()).filter(frame -> frame.getClassName().equals("JavaClient")).findFirst()
          .map(StackTraceElement::getLineNumber).orElse(0);
      System.out.println("failed " + title + ": " + error + " " + error.getCause() + " (line " + line + ")");
    }
  }

  static void publishConfirmed(Channel channel, String queue, List<byte[]> bodies) throws Exception {
    channel.confirmSelect();
    for (byte[] body : bodies) channel.basicPublish("", queue, MessageProperties.PERSISTENT_BASIC, body);
    channel.waitForConfirmsOrDie(10_000);
  }

  public static void main(String[] arguments) throws Exception {
    urls = arguments;

    behaviour("publish-through-one-node-consume-through-another", nothing -> {
      String queue = name();
      Channel channel = connect(0);
      channel.queueDeclare(queue, true, false, false, null);
      publishConfirmed(channel, queue, IntStream.range(0, 50).mapToObj(i -> bytes("" + i)).collect(Collectors.toList()));
      List<Delivery> taken = drain(connect(1), queue, 50);
      for (int i = 0; i < 50; i++) check(new String(taken.get(i).body()).equals("" + i), "order at " + i);
      channel.queueDelete(queue);
    });

    behaviour("properties-and-headers-come-back", nothing -> {
      Channel channel = connect(0);
      String queue = channel.queueDeclare().getQueue();
      Map<String, Object> headers = new HashMap<>();
      headers.put("text", LongStringHelper.asLongString("é"));
      headers.put("number", 1L << 40);
      headers.put("true", true);
      headers.put("list", List.of(1, LongStringHelper.asLongString("two")));
      headers.put("table", Map.of("deep", 1.5));
      headers.put("none", null);
      AMQP.BasicProperties sent = new AMQP.BasicProperties.Builder().contentType("text/plain").contentEncoding("utf-8")
          .headers(headers).deliveryMode(2).priority(3).correlationId("c").replyTo("r").expiration("60000").messageId("m")
          .timestamp(new Date(1_700_000_000_000L)).type("t").userId("guest").appId("a").build();
      channel.basicPublish("", queue, sent, new byte[] {0, -1});
      Delivery delivery = drain(channel, queue, 1).get(0);
      check(Arrays.equals(delivery.body(), new byte[] {0, -1}), "body");
      check(delivery.properties().toString().equals(sent.toString()), delivery.properties().toString());
    });

    behaviour("an-unroutable-mandatory-message-is-returned", nothing -> {
      Channel channel = connect(0);
      BlockingQueue<Integer> returned = new LinkedBlockingQueue<>();
      channel.addReturnListener((code, text, exchange, key, properties, body) -> returned.add(code));
      channel.basicPublish("", name(), true, null, bytes("x"));
      check(receive(returned) == 312, "reply code");
    });

    behaviour("a-requeued-message-is-redelivered", nothing -> {
      String queue = name();
      Channel channel = connect(0);
      channel.queueDeclare(queue, true, false, false, null);
      publishConfirmed(channel, queue, List.of(bytes("again")));
      GetResponse got = channel.basicGet(queue, false);
      check(!got.getEnvelope().isRedeliver(), "first delivery is marked redelivered");
      channel.basicNack(got.getEnvelope().getDeliveryTag(), false, true);
      Delivery delivery = drain(channel, queue, 1).get(0);
      check(delivery.envelope().isRedeliver() && new String(delivery.body()).equals("again"), "after nack");
      channel.queueDelete(queue);
    });

    behaviour("prefetch-bounds-what-is-unacknowledged", nothing -> {
      Channel channel = connect(1);
      String queue = channel.queueDeclare(name(), false, false, true, null).getQueue();
      for (int i = 0; i < 10; i++) channel.basicPublish("", queue, null, bytes("" + i));
      channel.basicQos(3);
      BlockingQueue<Long> tags = new LinkedBlockingQueue<>();
      channel.basicConsume(queue, false, new DefaultConsumer(channel) {
        @Override
        public void handleDelivery(String tag, Envelope envelope, AMQP.BasicProperties properties, byte[] body) {
          tags.add(envelope.getDeliveryTag());
        }
      });
      long last = 0;
      for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++) last = receive(tags);
        channel.queueDeclarePassive(queue);
        check(tags.isEmpty(), "more than the prefetch");
        channel.basicAck(last, true);
      }
      channel.queueDelete(queue);
    });

    behaviour("errors-have-the-codes-and-texts-that-clients-match", nothing -> {
      String queue = name();
      Channel owner = connect(0);
      owner.queueDeclare(queue, true, false, false, null);
      refused(404, "NOT_FOUND - no queue '" + queue + "-missing' in vhost '/'", 0, c -> c.queueDeclarePassive(queue + "-missing"));
      refused(406, "inequivalent arg 'durable' for queue '" + queue + "' in vhost '/'", 1, c -> c.queueDeclare(queue, false, false, false, null));
      String exclusive = owner.queueDeclare().getQueue();
      refused(405, "cannot obtain exclusive access to locked queue '" + exclusive + "'", 2, c -> c.queueDeclarePassive(exclusive));
      refused(403, "ACCESS_REFUSED", 0, c -> c.queueDeclare("amq.mine", false, false, false, null));
      refused(406, "PRECONDITION_FAILED - unknown delivery tag 99", 0, c -> c.basicAck(99, false));
      owner.queueDelete(queue);
    });

    behaviour("exchanges-route-by-their-type", nothing -> {
      Channel channel = connect(0);
      String[] queues = {exclusiveQueue(channel), exclusiveQueue(channel)};
      String[][] cases = {{"direct", "a", "b", "a", "c"}, {"topic", "*.x.#", "y.#", "1.x.2.3", "1.z"}, {"fanout", "", "q", "any", null}};
      for (String[] each : cases) {
        String exchange = each[0] + name();
        channel.exchangeDeclare(exchange, each[0], false, true, null);
        for (int i = 0; i < 2; i++) channel.queueBind(queues[i], exchange, each[1 + i]);
        if (each[4] != null) channel.basicPublish(exchange, each[4], null, bytes("missed"));
        channel.basicPublish(exchange, each[3], null, bytes(each[0]));
        check(new String(drain(channel, queues[0], 1).get(0).body()).equals(each[0]), each[0]);
        channel.exchangeDelete(exchange);
      }
      String exchange = name();
      channel.exchangeDeclare(exchange, "headers", false, true, null);
      channel.queueBind(queues[0], exchange, "", Map.of("x-match", "all", "a", 1, "b", "two"));
      for (Map<String, Object> headers : List.of(Map.<String, Object>of("a", 1), Map.<String, Object>of("a", 1, "b", "two", "c", 3))) {
        AMQP.BasicProperties properties = new AMQP.BasicProperties.Builder().headers(headers).build();
        channel.basicPublish(exchange, "", properties, bytes(headers.size() == 3 ? "yes" : "no"));
      }
      check(new String(drain(channel, queues[0], 1).get(0).body()).equals("yes"), "headers");
    });

    behaviour("counts-purge-and-delete", nothing -> {
      String queue = name();
      Channel publisher = connect(0);
      Channel other = connect(1);
      publisher.queueDeclare(queue, true, false, false, null);
      publishConfirmed(publisher, queue, Collections.nCopies(7, bytes("x")));
      check(other.queueDeclarePassive(queue).getMessageCount() == 7, "count");
      check(other.queuePurge(queue).getMessageCount() == 7, "purged");
      publishConfirmed(publisher, queue, List.of(bytes("x")));
      check(other.queueDelete(queue).getMessageCount() == 1, "deleted");
    });

    behaviour("a-consumer-hears-that-its-queue-is-gone", nothing -> {
      String queue = name();
      Channel channel = connect(0);
      channel.queueDeclare(queue, false, false, false, null);
      BlockingQueue<String> cancelled = new LinkedBlockingQueue<>();
      channel.basicConsume(queue, false, new DefaultConsumer(channel) {
        @Override
        public void handleCancel(String tag) {
          cancelled.add(tag);
        }
      });
      connect(1).queueDelete(queue);
      receive(cancelled);
    });

    behaviour("a-message-of-four-mebibytes-passes", nothing -> {
      String queue = name();
      Channel channel = connect(0);
      channel.queueDeclare(queue, true, false, false, null);
      byte[] body = new byte[4 << 20];
      for (int i = 0; i < body.length; i++) body[i] = (byte) i;
      publishConfirmed(channel, queue, List.of(body));
      check(Arrays.equals(drain(connect(1), queue, 1).get(0).body(), body), "another body");
      channel.queueDelete(queue);
    });

    for (Connection connection : open) connection.abort();
  }

  record Delivery(Envelope envelope, AMQP.BasicProperties properties, byte[] body) {}
}
