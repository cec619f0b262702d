"""What the four Python services share: where the servers are, from the environment."""
import os
import urllib.parse

import gridfs
import pika
import pymongo

AMQP_URL, MONGODB_URL = os.environ["AMQP_URL"], os.environ["MONGODB_URL"]


def bucket(name):
    """videos or mp3s."""
    return gridfs.GridFS(pymongo.MongoClient(MONGODB_URL).get_default_database(), collection=name)


def connect():
    return pika.BlockingConnection(pika.URLParameters(AMQP_URL))


def channel(connection):
    """With both queues there: as somebody has made them, else durable ones."""
    for queue in ("video", "mp3"):
        try:
            connection.channel().queue_declare(queue, passive=True)
        except pika.exceptions.ChannelClosedByBroker:
            connection.channel().queue_declare(queue, durable=True)
    return connection.channel()


def publish(to, queue, body):
    to.basic_publish(exchange="", routing_key=queue, body=body,
                     properties=pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent.value))


def consume(queue, handle):
    """Runs until it is killed. `handle` returns an error or None."""
    here = channel(connect())

    def callback(to, method, properties, body):
        if handle(to, body):
            to.basic_nack(delivery_tag=method.delivery_tag)
        else:
            to.basic_ack(delivery_tag=method.delivery_tag)

    here.basic_consume(queue=queue, on_message_callback=callback)
    print("ready", flush=True)
    here.start_consuming()


def split(url):
    """host, port, user, password of a URL."""
    parts = urllib.parse.urlsplit(url)
    return parts.hostname, parts.port, urllib.parse.unquote(parts.username or ""), urllib.parse.unquote(parts.password or "")
