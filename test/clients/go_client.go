// The list of behaviours with amqp091-go: arguments are three broker URLs; one line per behaviour on standard output.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

var (
	urls  = os.Args[1:4]
	named = 0
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func try(err error) { must(0, err) }

func check(condition bool, text any) {
	if !condition {
		panic(text)
	}
}

func name() string {
	named++
	return fmt.Sprintf("clients-go-%d-%d", time.Now().UnixNano(), named)
}

func open(number int) *amqp.Channel {
	connection := must(amqp.Dial(urls[number%len(urls)]))
	return must(connection.Channel())
}

func declare(channel *amqp.Channel, queue string) {
	must(channel.QueueDeclare(queue, true, false, false, false, nil))
}

func publish(channel *amqp.Channel, exchange, key string, message amqp.Publishing) {
	try(channel.Publish(exchange, key, false, false, message))
}

func publishConfirmed(channel *amqp.Channel, queue string, bodies ...[]byte) {
	try(channel.Confirm(false))
	confirms := channel.NotifyPublish(make(chan amqp.Confirmation, len(bodies)))
	for _, body := range bodies {
		publish(channel, "", queue, amqp.Publishing{Body: body, DeliveryMode: amqp.Persistent})
	}
	for range bodies {
		check(receive(confirms).Ack, "not confirmed")
	}
}

func receive[T any](from <-chan T) T {
	select {
	case value := <-from:
		return value
	case <-time.After(10 * time.Second):
		panic("nothing within 10 s")
	}
}

func drain(channel *amqp.Channel, queue string, count int) []amqp.Delivery {
	tag := name()
	deliveries := must(channel.Consume(queue, tag, true, false, false, false, nil))
	var taken []amqp.Delivery
	for len(taken) < count {
		taken = append(taken, receive(deliveries))
	}
	try(channel.Cancel(tag, false))
	return taken
}

func refused(code int, text string, number int, action func(*amqp.Channel) error) {
	channel := open(number)
	closed := channel.NotifyClose(make(chan *amqp.Error, 1))
	err := action(channel)
	var refusal *amqp.Error
	if !errors.As(err, &refusal) {
		refusal = receive(closed)
	}
	check(refusal != nil && refusal.Code == code && strings.Contains(refusal.Reason, text), refusal)
}

func behaviour(title string, body func()) {
	defer func() {
		if problem := recover(); problem != nil {
			fmt.Printf("failed %s: %v\n", title, problem)
		} else {
			fmt.Printf("ok %s\n", title)
		}
	}()
	body()
}

func main() {
	behaviour("publish-through-one-node-consume-through-another", func() {
		queue, channel := name(), open(0)
		declare(channel, queue)
		var bodies [][]byte
		for i := 0; i < 50; i++ {
			bodies = append(bodies, []byte(fmt.Sprint(i)))
		}
		publishConfirmed(channel, queue, bodies...)
		for i, delivery := range drain(open(1), queue, 50) {
			check(bytes.Equal(delivery.Body, bodies[i]), fmt.Sprintf("%s at %d", delivery.Body, i))
		}
		must(channel.QueueDelete(queue, false, false, false))
	})

	behaviour("properties-and-headers-come-back", func() {
		channel := open(0)
		queue := must(channel.QueueDeclare("", false, false, true, false, nil)).Name
		headers := amqp.Table{
			"text": "é", "number": int64(1) << 40, "true": true, "list": []interface{}{int32(1), "two"},
			"table": amqp.Table{"deep": 1.5}, "none": nil,
		}
		publish(channel, "", queue, amqp.Publishing{
			Headers: headers, ContentType: "text/plain", ContentEncoding: "utf-8", Priority: 3, CorrelationId: "c", ReplyTo: "r",
			Expiration: "60000", MessageId: "m", Timestamp: time.Unix(1_700_000_000, 0), Type: "t", UserId: "guest", AppId: "a",
			Body: []byte{0, 255},
		})
		d := drain(channel, queue, 1)[0]
		check(bytes.Equal(d.Body, []byte{0, 255}), d.Body)
		check(reflect.DeepEqual(d.Headers, headers), d.Headers)
		got := []any{d.ContentType, d.ContentEncoding, d.Priority, d.CorrelationId, d.ReplyTo, d.Expiration, d.MessageId, d.Timestamp.Unix(), d.Type, d.UserId, d.AppId}
		want := []any{"text/plain", "utf-8", uint8(3), "c", "r", "60000", "m", int64(1_700_000_000), "t", "guest", "a"}
		check(reflect.DeepEqual(got, want), got)
	})

	behaviour("an-unroutable-mandatory-message-is-returned", func() {
		channel := open(0)
		returned := channel.NotifyReturn(make(chan amqp.Return, 1))
		try(channel.Publish("", name(), true, false, amqp.Publishing{Body: []byte("x")}))
		check(receive(returned).ReplyCode == 312, "reply code")
	})

	behaviour("a-requeued-message-is-redelivered", func() {
		queue, channel := name(), open(0)
		declare(channel, queue)
		publishConfirmed(channel, queue, []byte("again"))
		d, ok, err := channel.Get(queue, false)
		try(err)
		check(ok && !d.Redelivered, "first delivery")
		try(d.Nack(false, true))
		d = drain(channel, queue, 1)[0]
		check(d.Redelivered && string(d.Body) == "again", "after nack")
		must(channel.QueueDelete(queue, false, false, false))
	})

	behaviour("prefetch-bounds-what-is-unacknowledged", func() {
		channel := open(1)
		queue := must(channel.QueueDeclare(name(), false, true, false, false, nil)).Name
		for i := 0; i < 10; i++ {
			publish(channel, "", queue, amqp.Publishing{Body: []byte{byte(i)}})
		}
		try(channel.Qos(3, 0, false))
		deliveries := must(channel.Consume(queue, "", false, false, false, false, nil))
		take := func() (last amqp.Delivery) {
			for i := 0; i < 3; i++ {
				last = receive(deliveries)
			}
			must(channel.QueueInspect(queue))
			check(len(deliveries) == 0, "more than the prefetch")
			return last
		}
		try(take().Ack(true))
		take()
	})

	behaviour("errors-have-the-codes-and-texts-that-clients-match", func() {
		queue, owner := name(), open(0)
		declare(owner, queue)
		refused(404, fmt.Sprintf("NOT_FOUND - no queue '%s-missing' in vhost '/'", queue), 0, func(c *amqp.Channel) error {
			_, err := c.QueueDeclarePassive(queue+"-missing", true, false, false, false, nil)
			return err
		})
		refused(406, fmt.Sprintf("inequivalent arg 'durable' for queue '%s' in vhost '/'", queue), 1, func(c *amqp.Channel) error {
			_, err := c.QueueDeclare(queue, false, false, false, false, nil)
			return err
		})
		exclusive := must(owner.QueueDeclare("", false, false, true, false, nil)).Name
		refused(405, fmt.Sprintf("cannot obtain exclusive access to locked queue '%s'", exclusive), 2, func(c *amqp.Channel) error {
			_, err := c.QueueDeclarePassive(exclusive, false, false, true, false, nil)
			return err
		})
		refused(403, "ACCESS_REFUSED", 0, func(c *amqp.Channel) error {
			_, err := c.QueueDeclare("amq.mine", false, false, false, false, nil)
			return err
		})
		refused(406, "PRECONDITION_FAILED - unknown delivery tag 99", 0, func(c *amqp.Channel) error { return c.Ack(99, false) })
		must(owner.QueueDelete(queue, false, false, false))
	})

	behaviour("exchanges-route-by-their-type", func() {
		channel := open(0)
		queues := []string{}
		for i := 0; i < 2; i++ {
			queues = append(queues, must(channel.QueueDeclare("", false, false, true, false, nil)).Name)
		}
		for _, c := range []struct {
			kind           string
			keys           []string
			routed, missed string
		}{{"direct", []string{"a", "b"}, "a", "c"}, {"topic", []string{"*.x.#", "y.#"}, "1.x.2.3", "1.z"}, {"fanout", []string{"", "q"}, "any", ""}} {
			exchange := c.kind + name()
			try(channel.ExchangeDeclare(exchange, c.kind, false, true, false, false, nil))
			for i, queue := range queues {
				try(channel.QueueBind(queue, c.keys[i], exchange, false, nil))
			}
			if c.missed != "" {
				publish(channel, exchange, c.missed, amqp.Publishing{Body: []byte("missed")})
			}
			publish(channel, exchange, c.routed, amqp.Publishing{Body: []byte(c.kind)})
			check(string(drain(channel, queues[0], 1)[0].Body) == c.kind, c.kind)
			try(channel.ExchangeDelete(exchange, false, false))
		}
		exchange := name()
		try(channel.ExchangeDeclare(exchange, "headers", false, true, false, false, nil))
		try(channel.QueueBind(queues[0], "", exchange, false, amqp.Table{"x-match": "all", "a": 1, "b": "two"}))
		publish(channel, exchange, "", amqp.Publishing{Headers: amqp.Table{"a": 1}, Body: []byte("no")})
		publish(channel, exchange, "", amqp.Publishing{Headers: amqp.Table{"a": 1, "b": "two", "c": 3}, Body: []byte("yes")})
		check(string(drain(channel, queues[0], 1)[0].Body) == "yes", "headers")
	})

	behaviour("counts-purge-and-delete", func() {
		queue, publisher, other := name(), open(0), open(1)
		declare(publisher, queue)
		publishConfirmed(publisher, queue, make([][]byte, 7)...)
		check(must(other.QueueInspect(queue)).Messages == 7, "count")
		check(must(other.QueuePurge(queue, false)) == 7, "purged")
		publishConfirmed(open(0), queue, []byte("x"))
		check(must(other.QueueDelete(queue, false, false, false)) == 1, "deleted")
	})

	behaviour("a-consumer-hears-that-its-queue-is-gone", func() {
		queue, channel := name(), open(0)
		declare(channel, queue)
		cancelled := channel.NotifyCancel(make(chan string, 1))
		must(channel.Consume(queue, "", false, false, false, false, nil))
		must(open(1).QueueDelete(queue, false, false, false))
		receive(cancelled)
	})

	behaviour("a-message-of-four-mebibytes-passes", func() {
		queue, channel := name(), open(0)
		declare(channel, queue)
		body := make([]byte, 4<<20)
		for i := range body {
			body[i] = byte(i)
		}
		publishConfirmed(channel, queue, body)
		check(bytes.Equal(drain(open(1), queue, 1)[0].Body, body), "another body")
		must(channel.QueueDelete(queue, false, false, false))
	})

	behaviour("what-a-cancelled-consumer-holds-can-be-acknowledged", func() {
		queue, channel := name(), open(1)
		declare(channel, queue)
		publishConfirmed(channel, queue, []byte("0"), []byte("1"), []byte("2"))
		deliveries := must(channel.Consume(queue, queue, false, false, false, false, nil))
		held := []amqp.Delivery{receive(deliveries), receive(deliveries), receive(deliveries)}
		try(channel.Cancel(queue, false))
		try(held[1].Ack(false))
		try(held[2].Nack(false, false))
		try(held[0].Reject(true))
		d := drain(channel, queue, 1)[0]
		check(d.Redelivered && string(d.Body) == "0", "after reject")
		check(must(channel.QueueDelete(queue, false, false, false)) == 0, "messages are left")
	})

	behaviour("recover-brings-back-what-is-unacknowledged", func() {
		queue, channel := name(), open(0)
		declare(channel, queue)
		publishConfirmed(channel, queue, []byte("again"))
		d, _, err := channel.Get(queue, false)
		try(err)
		check(!d.Redelivered, "first delivery is marked redelivered")
		try(channel.Recover(true))
		d = drain(channel, queue, 1)[0]
		check(d.Redelivered && string(d.Body) == "again", "after recover")
		must(channel.QueueDelete(queue, false, false, false))
	})

	behaviour("an-exclusive-consumer-keeps-others-out", func() {
		queue, channel, second := name(), open(0), open(1)
		declare(channel, queue)
		refusal := fmt.Sprintf("ACCESS_REFUSED - queue '%s' in vhost '/' in exclusive use", queue)
		consume := func(exclusive bool) func(*amqp.Channel) error {
			return func(c *amqp.Channel) error {
				_, err := c.Consume(queue, "", false, exclusive, false, false, nil)
				return err
			}
		}
		must(channel.Consume(queue, queue, false, true, false, false, nil))
		refused(403, refusal, 1, consume(false))
		try(channel.Cancel(queue, false))
		try(consume(false)(second))
		refused(403, refusal, 2, consume(true))
		must(channel.QueueDelete(queue, false, false, false))
	})

	behaviour("an-auto-delete-queue-goes-with-its-last-consumer", func() {
		channel := open(0)
		queue := must(channel.QueueDeclare(name(), false, true, false, false, nil)).Name
		for _, tag := range []string{"first", "second"} {
			must(channel.Consume(queue, tag, false, false, false, false, nil))
		}
		try(channel.Cancel("first", false))
		must(channel.QueueInspect(queue))
		try(channel.Cancel("second", false))
		refused(404, fmt.Sprintf("no queue '%s'", queue), 0, func(c *amqp.Channel) error {
			_, err := c.QueueInspect(queue)
			return err
		})
	})

	behaviour("a-queue-in-use-or-with-messages-is-not-deleted-on-condition", func() {
		queue, channel := name(), open(0)
		declare(channel, queue)
		publishConfirmed(channel, queue, []byte("x"))
		deleteIf := func(unused, empty bool) func(*amqp.Channel) error {
			return func(c *amqp.Channel) error {
				_, err := c.QueueDelete(queue, unused, empty, false)
				return err
			}
		}
		refused(406, fmt.Sprintf("queue '%s' in vhost '/' not empty", queue), 1, deleteIf(false, true))
		must(channel.QueuePurge(queue, false))
		must(channel.Consume(queue, queue, false, false, false, false, nil))
		refused(406, fmt.Sprintf("queue '%s' in vhost '/' in use", queue), 1, deleteIf(true, false))
		try(channel.Cancel(queue, false))
		try(deleteIf(true, true)(channel))
		exchange := name()
		try(channel.ExchangeDeclare(exchange, "fanout", false, false, false, false, nil))
		try(channel.QueueBind(must(channel.QueueDeclare("", false, false, true, false, nil)).Name, "", exchange, false, nil))
		refused(406, fmt.Sprintf("exchange '%s' in vhost '/' in use", exchange), 1, func(c *amqp.Channel) error {
			return c.ExchangeDelete(exchange, true, false)
		})
		try(channel.ExchangeDelete(exchange, false, false))
	})

	behaviour("a-transaction-is-all-or-nothing", func() {
		queue, channel, other := name(), open(0), open(1)
		declare(channel, queue)
		counted := func(wanted int) {
			found := must(other.QueueInspect(queue)).Messages
			check(found == wanted, fmt.Sprintf("%d messages instead of %d", found, wanted))
		}
		try(channel.Tx())
		publishTwo := func() {
			publish(channel, "", queue, amqp.Publishing{Body: []byte("1")})
			publish(channel, "", queue, amqp.Publishing{Body: []byte("2")})
			counted(0)
		}
		publishTwo()
		try(channel.TxRollback())
		counted(0)
		publishTwo()
		try(channel.TxCommit())
		counted(2)
		d, _, err := channel.Get(queue, false)
		try(err)
		try(d.Ack(false))
		try(channel.TxRollback())
		try(d.Ack(false))
		try(channel.TxCommit())
		try(channel.Close())
		check(must(other.QueueDelete(queue, false, false, false)) == 1, "one acknowledged message stays")
	})

	behaviour("an-exchange-passes-on-to-a-bound-exchange", func() {
		source, destination, channel := name(), name(), open(0)
		try(channel.ExchangeDeclare(source, "topic", false, false, false, false, nil))
		try(channel.ExchangeDeclare(destination, "fanout", false, false, false, false, nil))
		queue := must(channel.QueueDeclare("", false, false, true, false, nil)).Name
		try(channel.QueueBind(queue, "", destination, false, nil))
		try(channel.ExchangeBind(destination, "a.*", source, false, nil))
		publish(channel, source, "b.c", amqp.Publishing{Body: []byte("missed")})
		publish(channel, source, "a.b", amqp.Publishing{Body: []byte("routed")})
		d := drain(channel, queue, 1)[0]
		check(string(d.Body) == "routed" && d.Exchange == source, fmt.Sprintf("%s from %s", d.Body, d.Exchange))
		try(channel.ExchangeUnbind(destination, "a.*", source, false, nil))
		returned := channel.NotifyReturn(make(chan amqp.Return, 1))
		try(channel.Publish(source, "a.b", true, false, amqp.Publishing{}))
		receive(returned)
		try(channel.ExchangeDelete(source, false, false))
		try(channel.ExchangeDelete(destination, false, false))
	})

	behaviour("an-alternate-exchange-takes-what-has-no-route", func() {
		exchange, alternate, channel := name(), name(), open(0)
		try(channel.ExchangeDeclare(alternate, "fanout", false, false, false, false, nil))
		try(channel.ExchangeDeclare(exchange, "direct", false, false, false, false, amqp.Table{"alternate-exchange": alternate}))
		queue := must(channel.QueueDeclare("", false, false, true, false, nil)).Name
		try(channel.QueueBind(queue, "", alternate, false, nil))
		try(channel.Publish(exchange, "nobody", true, false, amqp.Publishing{Body: []byte("caught")}))
		check(string(drain(channel, queue, 1)[0].Body) == "caught", "another message")
		try(channel.ExchangeDelete(exchange, false, false))
		try(channel.ExchangeDelete(alternate, false, false))
	})

	behaviour("a-request-is-answered-through-direct-reply-to", func() {
		queue, asking, serving := name(), open(0), open(1)
		must(serving.QueueDeclare(queue, false, false, false, false, nil))
		answers := must(asking.Consume("amq.rabbitmq.reply-to", "", true, false, false, false, nil))
		publish(asking, "", queue, amqp.Publishing{Body: []byte("2"), ReplyTo: "amq.rabbitmq.reply-to"})
		request := drain(serving, queue, 1)[0]
		publish(serving, "", request.ReplyTo, amqp.Publishing{Body: append(request.Body, request.Body...)})
		check(string(receive(answers).Body) == "22", "another answer")
		must(serving.QueueDelete(queue, false, false, false))
	})
}
