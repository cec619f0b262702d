"""GridFS by pymongo: each line of the standard input is a command, each answer the seconds, CPU seconds and id as JSON.

    gridfs_copy.py URL
    write FILE | read ID | copy ID
"""
import json
import os
import sys
import time

import bson
import gridfs
import pymongo

BLOCK = 256 * 1024


def store(bucket, source):
    with bucket.open_upload_stream("file") as file:
        while block := source.read(BLOCK):
            file.write(block)
    return str(file._id)


def write(bucket, path):
    with open(path, "rb") as source:
        return store(bucket, source)


def read(bucket, file_id):
    stream = bucket.open_download_stream(bson.ObjectId(file_id))
    while stream.read(BLOCK):
        pass


def copy(bucket, file_id):
    return store(bucket, bucket.open_download_stream(bson.ObjectId(file_id)))


def main(url):
    bucket = gridfs.GridFSBucket(pymongo.MongoClient(url, w="majority", journal=True).get_default_database(), "peer")
    commands = {"write": write, "read": read, "copy": copy}
    for line in sys.stdin:
        command, argument = line.split()
        started, before = time.monotonic(), os.times()
        result = commands[command](bucket, argument)
        used = os.times()
        print(json.dumps({"id": result, "seconds": time.monotonic() - started,
                          "cpu": used.user + used.system - before.user - before.system}), flush=True)


main(*sys.argv[1:])
