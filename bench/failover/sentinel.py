"""Redis with a replica, watched by three sentinels."""
import os, random, re, signal, time
from machine import Machine, ports
from resp import Node
from writes import until

BEHIND_MAX = 1 << 20
TIMES = {False: (30_000, 180_000), True: (500, 3_000)}


class Sentinel(Machine):
    def __init__(self, tuned):
        super().__init__("redis")
        self.down_after, self.failover_timeout = TIMES[tuned]

    def begin(self):
        first, second, *self.sentinels = ports(5)
        self.begin_server(first)
        self.begin_server(second, first)
        for port in self.sentinels:
            path = self.write(f"sentinel-{port}.conf", f"port {port}\nbind 127.0.0.1\nsentinel monitor bench 127.0.0.1 {first} 2\n"
                              f"sentinel down-after-milliseconds bench {self.down_after}\n"
                              f"sentinel failover-timeout bench {self.failover_timeout}\n")
            self.start(f"sentinel-{port}", "/usr/bin/redis-sentinel", path)

    def begin_server(self, port, master=None):
        follows = f"replicaof 127.0.0.1 {master}\n" if master else ""
        os.makedirs(f"{self.folder}/{port}", exist_ok=True)
        os.chown(f"{self.folder}/{port}", self.account.pw_uid, self.account.pw_gid)
        path = self.write(f"{port}.conf", f"port {port}\nbind 127.0.0.1\ndir {self.folder}/{port}\nappendonly yes\n{follows}")
        self.start(str(port), "/usr/bin/redis-server", path)

    def master(self, sentinel=None):
        connection = Node("127.0.0.1", sentinel or random.choice(self.sentinels))
        _, port = connection.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "bench")
        connection.close()
        return int(port)

    def client(self):
        connection = Node("127.0.0.1", self.master())
        if connection.ask("ROLE")[0] != b"master":
            connection.close()
            raise OSError("not yet a master")
        return connection

    def is_whole(self):
        connection = self.client()
        information = connection.ask("INFO", "replication").decode()
        connection.close()
        return follows(information) and all(self.knows_all(port) for port in self.sentinels)

    @staticmethod
    def knows_all(port):
        connection = Node("127.0.0.1", port)
        answer = connection.ask("SENTINEL", "MASTER", "bench")
        connection.close()
        figures = dict(zip(answer[::2], answer[1::2]))
        return figures[b"flags"] == b"master" and figures[b"num-other-sentinels"] == b"2" and figures[b"num-slaves"] == b"1"

    def until_whole(self):
        until(self.is_whole, "master, replica and sentinels")

    def kill(self):
        port = self.master()
        process = self.processes.pop(str(port))
        os.kill(process.pid, signal.SIGKILL)
        moment = time.perf_counter()
        process.wait()
        self.killed = port
        return moment

    killed = None

    def written_again(self):
        """The server that was killed comes back, as a replica of whoever all sentinels say."""
        until(lambda: all(self.master(port) not in (self.killed, None) for port in self.sentinels), "a new master")
        self.begin_server(self.killed, self.master())


def follows(information):
    """A replica has all but what is under way, by a master's `INFO replication`."""
    offset = int(re.search(r"master_repl_offset:(\d+)", information)[1])
    replicas = re.findall(r"state=online,offset=(\d+),lag=[01]\b", information)
    return any(offset - int(replica) < BEHIND_MAX for replica in replicas)
