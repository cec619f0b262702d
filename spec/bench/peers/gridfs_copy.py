"""Stores a file with pymongo's gridfs and reads it back: gridfs_copy.py URL FILE. Prints MiB/s and CPU seconds of both as JSON."""
import json
import os
import sys
import time

import gridfs
import pymongo

BLOCK = 256 * 1024


def measured(work):
    started, before = time.monotonic(), os.times()
    result = work()
    used = os.times()
    return result, {"seconds": time.monotonic() - started, "cpu": used.user + used.system - before.user - before.system}


def write(bucket, path):
    with open(path, "rb") as source, bucket.open_upload_stream("file") as file:
        while block := source.read(BLOCK):
            file.write(block)
    return file._id


def read(bucket, file_id):
    stream, length = bucket.open_download_stream(file_id), 0
    while block := stream.read(BLOCK):
        length += len(block)
    return length


def main(url, path):
    database = pymongo.MongoClient(url, w="majority", journal=True).get_default_database()
    bucket = gridfs.GridFSBucket(database)
    file_id, up = measured(lambda: write(bucket, path))
    length, down = measured(lambda: read(bucket, file_id))
    assert length == os.path.getsize(path)
    bucket.delete(file_id)
    print(json.dumps({"up": up, "down": down}))


main(*sys.argv[1:])
