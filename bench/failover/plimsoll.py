"""The stores as Plimsoll runs them."""
import json, os, random, re, signal, subprocess, tempfile, time, urllib.parse
from resp import Moved, Node
from sentinel import follows
from writes import Sql, until

HERE = os.path.dirname(os.path.abspath(__file__))
PLIMSOLL = os.path.abspath(os.environ.get("PLIMSOLL_BIN", os.path.join(HERE, "../../target/release/plimsoll")))


class System:
    """A system with one store, up from `with` to the end of its block, and a service that writes down its address."""

    def __enter__(self):
        self.temporary = tempfile.TemporaryDirectory(dir="/var/tmp")
        self.folder = self.temporary.name
        os.chmod(self.folder, 0o755)  # Servers run under accounts of their own.
        with open(os.path.join(self.folder, "plimsoll.yaml"), "w") as file:
            file.write("system: bench\nservices:\n  told: { command: [sh, -c, 'echo $STORE_URL > url; exec sleep infinity'], "
                       f"uses: [store] }}\nstores:\n  store: {self.store}\n")
        try:
            self.run("up", "--detach")
            self.url = until(lambda: open(os.path.join(self.folder, "url")).read().strip(), "the address")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.run("down", "--volumes")
        self.temporary.cleanup()

    def run(self, *arguments):
        done = subprocess.run([PLIMSOLL, *arguments], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise SystemExit(f"plimsoll {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def members(self):
        return json.loads(self.run("status", "--json"))["stores"]["store"]["members"]

    def written_again(self):
        """Plimsoll brings back itself what was killed."""

    def until_whole(self):
        until(lambda: self.is_whole(self.members()), "all members")


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    return time.perf_counter()


class Postgres(System):
    store = "{ engine: postgres, instances: 3, synchronous: true }"

    def client(self):
        return Sql(self.url)

    def is_whole(self, members):
        following = [member for member in members if member["role"] == "standby" and member["detail"].startswith("follows")]
        return len(following) == 2 and not self.client().close()

    def kill(self):
        return kill(next(member["pid"] for member in self.members() if member["role"] == "primary"))


class Redis(System):
    store = "{ engine: redis, version: '7', cluster: { masters: 3, replicasPerMaster: 1 } }"

    def client(self):
        """A connection to whoever has the slot now."""
        parts = re.fullmatch(r"redis\+cluster://:([^@]*)@([^/]*)/?", self.url)
        password, nodes = urllib.parse.unquote(parts[1]), parts[2].split(",")
        node = random.choice(nodes)
        for _ in range(3):
            host, port = node.rsplit(":", 1)
            connection = Node(host, int(port), password)
            try:
                connection.write(0)
                return connection
            except Moved as moved:
                connection.close()
                node = str(moved)
        raise OSError("nobody has the slot")

    def is_whole(self, members):
        connection = self.client()
        information = connection.ask("INFO", "replication").decode()
        connection.close()
        return follows(information) and all(member["pid"] for member in members)

    def kill(self):
        connection = self.client()
        port = connection.socket.getpeername()[1]
        connection.close()
        return kill(next(member["pid"] for member in self.members() if member["port"] == port))
