"""The query of a login by mysqlclient, for so many seconds: prints how many a second. query.py URL SECONDS"""
import sys
import time
import urllib.parse

import MySQLdb

url = urllib.parse.urlsplit(sys.argv[1])
connection = MySQLdb.connect(host=url.hostname, port=url.port, user=url.username, password=urllib.parse.unquote(url.password),
                             database=url.path[1:], charset="utf8mb4", autocommit=True)
cursor = connection.cursor()
start, count = time.monotonic(), 0
while time.monotonic() - start < float(sys.argv[2]):
    for _ in range(100):
        cursor.execute("SELECT email, password FROM user WHERE email = %s", ("georgio@email.com",))
        row = cursor.fetchone()
    count += 100
assert row[0] == "georgio@email.com"
print(count / (time.monotonic() - start))
