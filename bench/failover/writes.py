"""One client that writes numbers, and knows which of them were acknowledged, and when."""
import threading, time

try:
    import psycopg2  # Debian's, so run Debian's Python.
except ImportError:
    raise SystemExit("apt-get install -y python3-psycopg2") from None

PATIENCE = 180


class Writer(threading.Thread):
    """`client` makes a connection with `write(number)`, `held()` (the numbers that are there) and `close()`."""

    def __init__(self, client):
        super().__init__(daemon=True)
        self.client, self.going, self.acknowledged = client, True, []
        self.failures, self.recovered = 0, (0, 0.0)
        self.changed = threading.Condition()

    def run(self):
        number, connection = 0, None
        while self.going:
            number += 1
            try:
                connection = connection or self.client()
                connection.write(number)
            except Exception:  # Whatever a driver says of a server that is gone: ask again.
                close(connection)
                connection = None
                self.failures += 1
                time.sleep(0.01)
                continue
            with self.changed:
                self.acknowledged.append(number)
                if self.recovered[0] != self.failures:
                    self.recovered = self.failures, time.perf_counter()
                self.changed.notify_all()
        close(connection)

    def await_writes(self, count):
        """Waits for so many more acknowledged writes."""
        with self.changed:
            want = len(self.acknowledged) + count
            if not self.changed.wait_for(lambda: len(self.acknowledged) >= want, PATIENCE):
                raise SystemExit(f"no {count} writes were acknowledged within {PATIENCE} s")

    def recovery(self, moment):
        """Seconds from `moment` to the first write acknowledged after the failure that follows it.

        Not to the first one at all: a backend of PostgreSQL outlives its postmaster by a few commits."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.recovered[1] > moment, PATIENCE):
                raise SystemExit(f"no write was acknowledged within {PATIENCE} s")
            return self.recovered[1] - moment

    def stop(self):
        self.going = False
        self.join(PATIENCE)

    def lost(self):
        """Acknowledged writes that are not there."""
        connection = self.client()
        held = connection.held()
        close(connection)
        return len(set(self.acknowledged) - held)


def close(connection):
    try:
        if connection:
            connection.close()
    except Exception:  # It is gone already.
        pass


def until(answers, what, patience=PATIENCE):
    """Asks until it is so."""
    end = time.perf_counter() + patience
    while True:
        try:
            answer = answers()
        except Exception:  # Not there yet.
            answer = None
        if answer:
            return answer
        if time.perf_counter() > end:
            raise SystemExit(f"{what}: not within {patience} s")
        time.sleep(0.05)


class Sql:
    """A connection to PostgreSQL; made only where writes are taken."""

    def __init__(self, url):
        self.connection = psycopg2.connect(url, connect_timeout=2, target_session_attrs="read-write")
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()
        self.cursor.execute("CREATE TABLE IF NOT EXISTS bench_writes (number bigint PRIMARY KEY)")

    def write(self, number):
        self.cursor.execute("INSERT INTO bench_writes VALUES (%s)", (number,))

    def held(self):
        self.cursor.execute("SELECT number FROM bench_writes")
        return {row[0] for row in self.cursor.fetchall()}

    def close(self):
        self.connection.close()
