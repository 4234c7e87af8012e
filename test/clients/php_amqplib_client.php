<?php
// The list of behaviours with php-amqplib: arguments are three broker URLs; one line per behaviour on standard output.

require_once 'PhpAmqpLib/autoload.php';

use PhpAmqpLib\Channel\AMQPChannel;
use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Exception\AMQPProtocolChannelException;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

$urls = array_slice($argv, 1, 3);

function connect(int $number = 0): AMQPStreamConnection
{
    global $urls;
    $url = parse_url($urls[$number % count($urls)]);
    return new AMQPStreamConnection($url['host'], $url['port'], $url['user'], $url['pass'], '/');
}

function name(): string
{
    return 'clients-' . bin2hex(random_bytes(16));
}

function check(bool $condition, string $text): void
{
    if (!$condition) {
        throw new Exception($text);
    }
}

/** @return AMQPMessage[] */
function drain(AMQPChannel $channel, string $queue, int $count): array
{
    $messages = [];
    $tag = $channel->basic_consume($queue, '', false, true, false, false, function (AMQPMessage $message) use (&$messages) {
        $messages[] = $message;
    });
    while (count($messages) < $count) {
        $channel->wait(null, false, 10);
    }
    $channel->basic_cancel($tag);
    return $messages;
}

function behaviour(string $title, callable $body): void
{
    try {
        $body();
        echo "ok $title\n";
    } catch (Throwable $error) {
        echo "failed $title: " . get_class($error) . " {$error->getMessage()} (line {$error->getLine()})\n";
    }
}

function refused(int $code, string $text, callable $action, int $number = 0): void
{
    try {
        $action(connect($number)->channel());
    } catch (AMQPProtocolChannelException $error) {
        check($error->amqp_reply_code === $code && str_contains($error->amqp_reply_text, $text), $error->getMessage());
        return;
    }
    check(false, "not refused; wanted $code");
}

behaviour('publish-through-one-node-consume-through-another', function () {
    $queue = name();
    $channel = connect()->channel();
    $channel->confirm_select();
    $channel->queue_declare($queue, false, true, false, false);
    for ($i = 0; $i < 50; $i++) {
        $channel->basic_publish(new AMQPMessage((string) $i, ['delivery_mode' => 2]), '', $queue, true);
    }
    $channel->wait_for_pending_acks_returns(10);
    $bodies = array_map(fn ($message) => (int) $message->body, drain(connect(1)->channel(), $queue, 50));
    check($bodies === range(0, 49), json_encode($bodies));
    $channel->queue_delete($queue);
});

behaviour('properties-and-headers-come-back', function () {
    $queue = name();
    $channel = connect()->channel();
    $channel->queue_declare($queue, false, false, false, true);
    $sent = [
        'content_type' => 'text/plain', 'content_encoding' => 'utf-8', 'priority' => 3, 'correlation_id' => 'c', 'reply_to' => 'r',
        'expiration' => '60000', 'message_id' => 'm', 'timestamp' => 1700000000, 'type' => 't', 'user_id' => 'guest', 'app_id' => 'a',
    ];
    $headers = ['text' => 'é', 'number' => 2 ** 40, 'true' => true, 'list' => [1, 'two'], 'table' => ['deep' => 5], 'none' => null];
    $message = new AMQPMessage("\x00\xff", $sent);
    $message->set('application_headers', new AMQPTable($headers));
    $channel->basic_publish($message, '', $queue);
    $received = drain($channel, $queue, 1)[0];
    check($received->body === "\x00\xff", bin2hex($received->body));
    foreach ($sent as $key => $value) {
        check($received->get($key) == $value, "$key: {$received->get($key)}");
    }
    $back = $received->get('application_headers')->getNativeData();
    check($back == $headers, json_encode($back));
});

behaviour('an-unroutable-mandatory-message-is-returned', function () {
    $channel = connect()->channel();
    $returned = null;
    $channel->set_return_listener(function (int $code) use (&$returned) {
        $returned = $code;
    });
    $channel->basic_publish(new AMQPMessage('x'), '', name(), true);
    $channel->wait(null, false, 10);
    check($returned === 312, "reply code $returned");
});

behaviour('a-requeued-message-is-redelivered', function () {
    $queue = name();
    $channel = connect()->channel();
    $channel->confirm_select();
    $channel->queue_declare($queue, false, true, false, false);
    $channel->basic_publish(new AMQPMessage('again'), '', $queue);
    $channel->wait_for_pending_acks(10);
    $message = $channel->basic_get($queue);
    check(!$message->isRedelivered(), 'first delivery is marked redelivered');
    $message->nack(true);
    $message = drain($channel, $queue, 1)[0];
    check($message->isRedelivered() && $message->body === 'again', 'after nack');
    $channel->queue_delete($queue);
});

behaviour('prefetch-bounds-what-is-unacknowledged', function () {
    $queue = name();
    $channel = connect(1)->channel();
    $channel->queue_declare($queue, false, false, false, true);
    for ($i = 0; $i < 10; $i++) {
        $channel->basic_publish(new AMQPMessage((string) $i), '', $queue);
    }
    $channel->basic_qos(0, 3, false);
    $tags = [];
    $channel->basic_consume($queue, '', false, false, false, false, function (AMQPMessage $message) use (&$tags) {
        $tags[] = $message->getDeliveryTag();
    });
    $receive = function (int $count) use (&$tags, $channel, $queue) {
        while (count($tags) < $count) {
            $channel->wait(null, false, 10);
        }
        $channel->queue_declare($queue, true);
        check(count($tags) === $count, count($tags) . " messages instead of $count");
    };
    $receive(3);
    $channel->basic_ack(end($tags), true);
    $receive(6);
});

behaviour('errors-have-the-codes-and-texts-that-clients-match', function () {
    $queue = name();
    $owner = connect()->channel();
    $owner->queue_declare($queue, false, true, false, false);
    refused(404, "NOT_FOUND - no queue '$queue-missing' in vhost '/'", fn ($c) => $c->queue_declare("$queue-missing", true));
    refused(406, "inequivalent arg 'durable' for queue '$queue' in vhost '/'", fn ($c) => $c->queue_declare($queue, false, false, false, false), 1);
    [$exclusive] = $owner->queue_declare('', false, false, true);
    refused(405, "cannot obtain exclusive access to locked queue '$exclusive'", fn ($c) => $c->queue_declare($exclusive, true), 2);
    refused(403, 'ACCESS_REFUSED', fn ($c) => $c->queue_declare('amq.mine'));
    refused(406, 'PRECONDITION_FAILED - unknown delivery tag 99', function ($channel) use ($queue) {
        $channel->basic_ack(99);
        $channel->queue_declare($queue, true);
    });
    $owner->queue_delete($queue);
});

behaviour('exchanges-route-by-their-type', function () {
    $channel = connect()->channel();
    $queues = array_map(fn () => $channel->queue_declare('', false, false, true, false)[0], [0, 1]);
    $cases = [['direct', ['a', 'b'], 'a', 'c'], ['topic', ['*.x.#', 'y.#'], '1.x.2.3', '1.z'], ['fanout', ['', 'q'], 'any', null]];
    foreach ($cases as [$type, $keys, $routed, $missed]) {
        $exchange = "$type-" . name();
        $channel->exchange_declare($exchange, $type, false, false, true);
        foreach ($queues as $i => $queue) {
            $channel->queue_bind($queue, $exchange, $keys[$i]);
        }
        if ($missed !== null) {
            $channel->basic_publish(new AMQPMessage('missed'), $exchange, $missed);
        }
        $channel->basic_publish(new AMQPMessage($type), $exchange, $routed);
        check(drain($channel, $queues[0], 1)[0]->body === $type, $type);
        $channel->exchange_delete($exchange);
    }
    $exchange = 'headers-' . name();
    $channel->exchange_declare($exchange, 'headers', false, false, true);
    $channel->queue_bind($queues[0], $exchange, '', false, new AMQPTable(['x-match' => 'all', 'a' => 1, 'b' => 'two']));
    foreach ([['no', ['a' => 1]], ['yes', ['a' => 1, 'b' => 'two', 'c' => 3]]] as [$body, $headers]) {
        $channel->basic_publish(new AMQPMessage($body, ['application_headers' => new AMQPTable($headers)]), $exchange);
    }
    check(drain($channel, $queues[0], 1)[0]->body === 'yes', 'headers');
});

behaviour('counts-purge-and-delete', function () {
    $queue = name();
    $publisher = connect(0)->channel();
    $other = connect(1)->channel();
    $publisher->confirm_select();
    $publisher->queue_declare($queue, false, true, false, false);
    $publish = function (int $count) use ($publisher, $queue) {
        for ($i = 0; $i < $count; $i++) {
            $publisher->basic_publish(new AMQPMessage('x'), '', $queue);
        }
        $publisher->wait_for_pending_acks(10);
    };
    $publish(7);
    check($other->queue_declare($queue, true)[1] === 7, 'count');
    check($other->queue_purge($queue) === 7, 'purged');
    $publish(1);
    check($other->queue_delete($queue) === 1, 'deleted');
});

behaviour('a-consumer-hears-that-its-queue-is-gone', function () {
    $queue = name();
    $channel = connect()->channel();
    $channel->queue_declare($queue, false, false, false, false);
    $channel->basic_consume($queue, '', false, false, false, false, fn () => null);
    connect(1)->channel()->queue_delete($queue);
    try {
        $channel->wait(null, false, 10);
    } catch (PhpAmqpLib\Exception\AMQPBasicCancelException) {
        return;
    }
    check(false, 'no basic.cancel');
});

behaviour('a-message-of-four-mebibytes-passes', function () {
    $queue = name();
    $channel = connect()->channel();
    $channel->confirm_select();
    $channel->queue_declare($queue, false, true, false, false);
    $body = str_repeat(implode('', array_map('chr', range(0, 255))), 16384);
    $channel->basic_publish(new AMQPMessage($body), '', $queue);
    $channel->wait_for_pending_acks(30);
    check(drain(connect(1)->channel(), $queue, 1)[0]->body === $body, 'another body');
    $channel->queue_delete($queue);
});

behaviour('what-a-cancelled-consumer-holds-can-be-acknowledged', function () {
    $queue = name();
    $channel = connect(1)->channel();
    $channel->confirm_select();
    $channel->queue_declare($queue, false, true, false, false);
    for ($i = 0; $i < 3; $i++) {
        $channel->basic_publish(new AMQPMessage((string) $i), '', $queue);
    }
    $channel->wait_for_pending_acks(10);
    $held = [];
    $tag = $channel->basic_consume($queue, '', false, false, false, false, function (AMQPMessage $message) use (&$held) {
        $held[] = $message->getDeliveryTag();
    });
    while (count($held) < 3) {
        $channel->wait(null, false, 10);
    }
    $channel->basic_cancel($tag);
    $channel->basic_ack($held[1]);
    $channel->basic_nack($held[2], false, false);
    $channel->basic_reject($held[0], true);
    $message = drain($channel, $queue, 1)[0];
    check($message->isRedelivered() && $message->body === '0', "$message->body came back");
    check($channel->queue_delete($queue) === 0, 'messages are left');
});

behaviour('recover-brings-back-what-is-unacknowledged', function () {
    $queue = name();
    $channel = connect()->channel();
    $channel->confirm_select();
    $channel->queue_declare($queue, false, true, false, false);
    $channel->basic_publish(new AMQPMessage('again'), '', $queue);
    $channel->wait_for_pending_acks(10);
    check(!$channel->basic_get($queue)->isRedelivered(), 'first delivery is marked redelivered');
    $channel->basic_recover(true);
    $message = drain($channel, $queue, 1)[0];
    check($message->isRedelivered() && $message->body === 'again', 'after recover');
    $channel->queue_delete($queue);
});

behaviour('an-exclusive-consumer-keeps-others-out', function () {
    $queue = name();
    $channel = connect()->channel();
    $channel->queue_declare($queue, false, true, false, false);
    $refusal = "ACCESS_REFUSED - queue '$queue' in vhost '/' in exclusive use";
    $tag = $channel->basic_consume($queue, '', false, false, true);
    refused(403, $refusal, fn ($c) => $c->basic_consume($queue), 1);
    $channel->basic_cancel($tag);
    $second = connect(1);
    $second->channel()->basic_consume($queue);
    refused(403, $refusal, fn ($c) => $c->basic_consume($queue, '', false, false, true), 2);
    $second->close();
    $channel->queue_delete($queue);
});

behaviour('an-auto-delete-queue-goes-with-its-last-consumer', function () {
    $queue = name();
    $channel = connect()->channel();
    $channel->queue_declare($queue, false, false, false, true);
    $tags = [$channel->basic_consume($queue), $channel->basic_consume($queue)];
    $channel->basic_cancel($tags[0]);
    $channel->queue_declare($queue, true);
    $channel->basic_cancel($tags[1]);
    refused(404, "no queue '$queue'", fn ($c) => $c->queue_declare($queue, true));
});

behaviour('a-queue-in-use-or-with-messages-is-not-deleted-on-condition', function () {
    $queue = name();
    $channel = connect()->channel();
    $channel->confirm_select();
    $channel->queue_declare($queue, false, true, false, false);
    $channel->basic_publish(new AMQPMessage('x'), '', $queue);
    $channel->wait_for_pending_acks(10);
    refused(406, "queue '$queue' in vhost '/' not empty", fn ($c) => $c->queue_delete($queue, false, true), 1);
    $channel->queue_purge($queue);
    $tag = $channel->basic_consume($queue);
    refused(406, "queue '$queue' in vhost '/' in use", fn ($c) => $c->queue_delete($queue, true), 1);
    $channel->basic_cancel($tag);
    $channel->queue_delete($queue, true, true);
    $exchange = name();
    $channel->exchange_declare($exchange, 'fanout', false, false, false);
    $channel->queue_bind($channel->queue_declare('', false, false, true)[0], $exchange);
    refused(406, "exchange '$exchange' in vhost '/' in use", fn ($c) => $c->exchange_delete($exchange, true), 1);
    $channel->exchange_delete($exchange);
});

behaviour('a-transaction-is-all-or-nothing', function () {
    $queue = name();
    $channel = connect()->channel();
    $other = connect(1)->channel();
    $channel->queue_declare($queue, false, true, false, false);
    $channel->tx_select();
    foreach (['tx_rollback' => 0, 'tx_commit' => 2] as $end => $wanted) {
        $channel->basic_publish(new AMQPMessage('1'), '', $queue);
        $channel->basic_publish(new AMQPMessage('2'), '', $queue);
        check($other->queue_declare($queue, true)[1] === 0, 'published before the commit');
        $channel->$end();
        check($other->queue_declare($queue, true)[1] === $wanted, "not $wanted messages");
    }
    $tag = $channel->basic_get($queue)->getDeliveryTag();
    $channel->basic_ack($tag);
    $channel->tx_rollback();
    $channel->basic_ack($tag);
    $channel->tx_commit();
    $channel->close();
    check($other->queue_delete($queue) === 1, 'one acknowledged message stays');
});

behaviour('an-exchange-passes-on-to-a-bound-exchange', function () {
    $channel = connect()->channel();
    [$source, $destination] = [name(), name()];
    $channel->exchange_declare($source, 'topic', false, false, false);
    $channel->exchange_declare($destination, 'fanout', false, false, false);
    [$queue] = $channel->queue_declare('', false, false, true, false);
    $channel->queue_bind($queue, $destination);
    $channel->exchange_bind($destination, $source, 'a.*');
    $channel->basic_publish(new AMQPMessage('missed'), $source, 'b.c');
    $channel->basic_publish(new AMQPMessage('routed'), $source, 'a.b');
    $message = drain($channel, $queue, 1)[0];
    check($message->body === 'routed' && $message->getExchange() === $source, "$message->body from {$message->getExchange()}");
    $channel->exchange_unbind($destination, $source, 'a.*');
    $returned = 0;
    $channel->set_return_listener(function () use (&$returned) {
        $returned++;
    });
    $channel->basic_publish(new AMQPMessage('x'), $source, 'a.b', true);
    $channel->wait(null, false, 10);
    check($returned === 1, 'routed after the unbind');
    $channel->exchange_delete($source);
    $channel->exchange_delete($destination);
});

behaviour('an-alternate-exchange-takes-what-has-no-route', function () {
    $channel = connect()->channel();
    [$exchange, $alternate] = [name(), name()];
    $channel->exchange_declare($alternate, 'fanout', false, false, false);
    $arguments = new AMQPTable(['alternate-exchange' => $alternate]);
    $channel->exchange_declare($exchange, 'direct', false, false, false, false, false, $arguments);
    [$queue] = $channel->queue_declare('', false, false, true, false);
    $channel->queue_bind($queue, $alternate);
    $channel->basic_publish(new AMQPMessage('caught'), $exchange, 'nobody', true);
    check(drain($channel, $queue, 1)[0]->body === 'caught', 'another message');
    $channel->exchange_delete($exchange);
    $channel->exchange_delete($alternate);
});

behaviour('a-request-is-answered-through-direct-reply-to', function () {
    $queue = name();
    $asking = connect(0)->channel();
    $serving = connect(1)->channel();
    $serving->queue_declare($queue, false, false, false, false);
    $answer = null;
    $asking->basic_consume('amq.rabbitmq.reply-to', '', false, true, false, false, function (AMQPMessage $message) use (&$answer) {
        $answer = $message->body;
    });
    $asking->basic_publish(new AMQPMessage('2', ['reply_to' => 'amq.rabbitmq.reply-to']), '', $queue);
    $request = drain($serving, $queue, 1)[0];
    $serving->basic_publish(new AMQPMessage($request->body . $request->body), '', $request->get('reply_to'));
    $asking->wait(null, false, 10);
    check($answer === '22', "answer $answer");
    $serving->queue_delete($queue);
});
