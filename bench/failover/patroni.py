"""Patroni with etcd, three members, synchronous."""
import glob, json, os, signal, time, urllib.request
from machine import Machine, ports
from writes import Sql, until

MEMBERS = 3
TIMES = {False: {"ttl": 30, "loop_wait": 10, "retry_timeout": 10},
         True: {"ttl": 20, "loop_wait": 1, "retry_timeout": 3, "primary_start_timeout": 0}}


class Patroni(Machine):
    def __init__(self, tuned, node):
        super().__init__("postgres")
        self.times, self.node = TIMES[tuned], node

    def begin(self):
        client, peer, *rest = ports(2 + 2 * MEMBERS)
        self.rest, self.servers, self.etcd = rest[:MEMBERS], rest[MEMBERS:], client
        self.start("etcd", "/usr/bin/etcd", "--data-dir", "etcd", "--listen-client-urls", f"http://127.0.0.1:{client}",
                   "--advertise-client-urls", f"http://127.0.0.1:{client}", "--listen-peer-urls", f"http://127.0.0.1:{peer}",
                   "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}", "--initial-cluster", f"default=http://127.0.0.1:{peer}")
        until(lambda: urllib.request.urlopen(f"http://127.0.0.1:{client}/health", timeout=1).status == 200, "etcd")
        for number in range(MEMBERS):
            self.write(f"{number}.yml", json.dumps(self.settings(number)))  # JSON is YAML.
            self.begin_member(number)
            if number == 0:
                until(lambda: Sql(self.url()).close() is None, "the first member")

    def begin_member(self, number):
        self.start(f"patroni-{number}", "/usr/bin/patroni", f"{self.folder}/{number}.yml")

    def settings(self, number):
        def signs_in(name):
            return {"username": name, "password": "bench"}
        return {
            "scope": "bench", "name": f"member{number}", "etcd3": {"host": f"127.0.0.1:{self.etcd}"},
            "restapi": {"listen": f"127.0.0.1:{self.rest[number]}", "connect_address": f"127.0.0.1:{self.rest[number]}"},
            "bootstrap": {
                "dcs": {**self.times, "synchronous_mode": True,
                        "postgresql": {"use_pg_rewind": True, "parameters": {"wal_retrieve_retry_interval": "100ms"}}},
                "initdb": [{"encoding": "UTF8"}, "data-checksums"],
                "pg_hba": ["host all all 127.0.0.1/32 scram-sha-256", "host replication all 127.0.0.1/32 scram-sha-256"]},
            "postgresql": {
                "listen": f"127.0.0.1:{self.servers[number]}", "connect_address": f"127.0.0.1:{self.servers[number]}",
                "data_dir": f"{self.folder}/data{number}", "bin_dir": max(glob.glob("/usr/lib/postgresql/*/bin")),
                "pgpass": f"{self.folder}/pgpass{number}",
                "authentication": {"superuser": signs_in("postgres"), "replication": signs_in("replicator"), "rewind": signs_in("rewinder")},
                "parameters": {"unix_socket_directories": self.folder}},
        }

    def url(self):
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.servers)
        return f"postgres://postgres:bench@{hosts}/postgres"

    def client(self):
        return Sql(self.url())

    def cluster(self):
        for port in self.rest:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/cluster", timeout=2) as answer:
                    return json.load(answer)["members"]
            except OSError:
                continue
        raise OSError("no Patroni answers")

    def is_whole(self):
        roles = sorted(member["role"] for member in self.cluster() if member["state"] in ("running", "streaming"))
        return roles == ["leader", "replica", "sync_standby"] and not self.client().close()

    def until_whole(self):
        until(self.is_whole, "all members of Patroni")

    def kill(self):
        leader = next(member["name"] for member in self.cluster() if member["role"] == "leader")
        number = int(leader.removeprefix("member"))
        with open(f"{self.folder}/data{number}/postmaster.pid") as file:
            postmaster = int(file.readline())
        if self.node:
            self.processes[f"patroni-{number}"].kill()
        os.kill(postmaster, signal.SIGKILL)
        moment = time.perf_counter()
        if self.node:
            self.processes.pop(f"patroni-{number}").wait()
            self.returning = number
        return moment

    returning = None

    def written_again(self):
        """The machine that ended comes back."""
        if self.returning is not None:
            self.begin_member(self.returning)
            self.returning = None
