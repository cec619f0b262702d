"""The same as amqp_peer.c with pika, as services in Python do it: its blocking connection, confirms one by one.

    pika_peer.py publish|consume URL QUEUE COUNT PREFETCH
"""
import sys
import time

import pika

PAYLOAD = b'{"number":1234567,"text":"a message as the bundles send them, of a hundred bytes"}'


def publish(channel, queue, count, _):
    channel.confirm_delivery()
    properties = pika.BasicProperties(delivery_mode=2)
    for _ in range(count):
        channel.basic_publish("", queue, PAYLOAD, properties, mandatory=True)


def consume(channel, queue, count, prefetch):
    left = count

    def on_message(_, method, __, ___):
        nonlocal left
        channel.basic_ack(method.delivery_tag)
        left -= 1
        if left == 0:
            channel.stop_consuming()

    channel.basic_qos(prefetch_count=prefetch)
    channel.basic_consume(queue, on_message)
    channel.start_consuming()


def main(verb, url, queue, count, prefetch):
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    started = time.monotonic()
    {"publish": publish, "consume": consume}[verb](channel, queue, int(count), int(prefetch))
    print(f"{int(count) / (time.monotonic() - started):.0f}")
    connection.close()


main(*sys.argv[1:])
