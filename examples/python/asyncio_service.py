#!/usr/bin/env python3
"""A service on asyncio that logs who stopped it, and finishes the conversations that are going on first.

    asyncio_service.py [port]

It answers each line with the same in capitals. SIGHUP is logged and changes nothing; SIGTERM and Ctrl-C end it:

    listening on 127.0.0.1:40231
    SIGHUP from pid 4242 (bash), uid 1000, by kill: 0 open connections
    stopped by SIGTERM from pid 4242 (bash), uid 1000, by kill
    finishing 1 connection
    done, 3 lines answered
"""

import asyncio
import signal
import sys

import tocsin.asyncio

GRACE = 10  # seconds for conversations that are going on


class Service:
    def __init__(self):
        self.conversations = set()
        self.answered = 0

    async def serve(self, reader, writer):
        this = asyncio.current_task()
        self.conversations.add(this)
        try:
            async for line in reader:
                writer.write(line.upper())
                await writer.drain()
                self.answered += 1
        except ConnectionError:
            pass  # the other side has gone
        finally:
            self.conversations.discard(this)
            writer.close()

    async def finish(self):
        if not self.conversations:
            return
        count = len(self.conversations)
        log(f"finishing {count} connection{'s' if count > 1 else ''}")
        _, late = await asyncio.wait(self.conversations, timeout=GRACE)
        for task in late:
            task.cancel()
        if late:
            log(f"gave up {len(late)}")


def log(text):
    print(text, flush=True)


async def main(port):
    service = Service()
    # Before the server: from here on every signal is an event. To the end: a second one changes nothing.
    wanted = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
    async with tocsin.asyncio.signals(wanted, pending="drop") as events:
        server = await asyncio.start_server(service.serve, "127.0.0.1", port)
        log("listening on {}:{}".format(*server.sockets[0].getsockname()))
        async for event in events:
            if event.signum != signal.SIGHUP:
                break
            log(f"{event}: {len(service.conversations)} open connections")
        log(f"stopped by {event}")
        server.close()  # no new ones
        await service.finish()
        log(f"done, {service.answered} lines answered")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
