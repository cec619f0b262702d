"""What pymongo's gridfs says of files in the bucket "files" of a MongoDB URL.

    mongo.py URL put FILE CHUNK_SIZE    stores the file as another client does; prints its id
    mongo.py URL get ID                 writes the file to the standard output, checked by pymongo
    mongo.py URL delete ID
    mongo.py URL orphans BUCKET         how many ids have chunks and no file
"""
import os
import pathlib
import sys

root = pathlib.Path(__file__).resolve().parents[2]
sys.path += map(str, (root / os.environ.get("BUILD", "build") / "servers/venv/lib").glob("*/site-packages"))

import bson  # noqa: E402
import gridfs  # noqa: E402
import pymongo  # noqa: E402


def main(url, command, argument, chunk_size=None):
    database = pymongo.MongoClient(url, serverSelectionTimeoutMS=20000).get_default_database()
    files = gridfs.GridFS(database, "files")
    if command == "put":
        with open(argument, "rb") as source:
            print(files.put(source, filename="by pymongo", content_type="video/mp4", chunk_size=int(chunk_size)))
    elif command == "get":
        sys.stdout.buffer.write(files.get(bson.ObjectId(argument)).read())
    elif command == "delete":
        files.delete(bson.ObjectId(argument))
    elif command == "orphans":
        with_chunks = set(database[argument].chunks.distinct("files_id"))
        print(len(with_chunks - set(database[argument].files.distinct("_id"))))
    else:
        sys.exit(__doc__)


main(*sys.argv[1:])
