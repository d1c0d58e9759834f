"""Processes and ports of a peer, in a folder of its own."""
import os, pwd, shutil, socket, subprocess, tempfile


class Machine:
    """A folder that `account` owns, and processes that run as it until the end of the block."""

    def __init__(self, account):
        self.account = pwd.getpwnam(account)

    def __enter__(self):
        self.folder = tempfile.mkdtemp(dir="/var/tmp")
        os.chown(self.folder, self.account.pw_uid, self.account.pw_gid)
        self.processes = {}
        try:
            self.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in list(self.processes):
            self.end(name)
        shutil.rmtree(self.folder)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(text)
        os.chown(path, self.account.pw_uid, self.account.pw_gid)
        return path

    def start(self, name, *command):
        with open(os.path.join(self.folder, f"{name}.log"), "ab") as log:
            self.processes[name] = subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL, user=self.account.pw_uid,
                group=self.account.pw_gid, extra_groups=[], start_new_session=True)

    def end(self, name):
        process = self.processes.pop(name)
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ports(count):
    """Ports that nobody listens at now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    free = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return free
