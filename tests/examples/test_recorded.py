"""A recorded exchange: a proxy writes down what client and broker say, and a script plays the broker from that.

The file `recorded/news.txt` was written by the first test: `record=` is all that it takes. In a project of one's own it
would be written once, beside a real server, and be kept with the tests.
"""

import pathlib
import random
import tempfile

from solipsism_unittest import Script, SolipsistTestCase, exact
from tests.examples.pubsub import Broker, Client

HOST, PORT = "broker.test", 7000
KEPT = pathlib.Path(__file__).with_name("recorded") / "news.txt"


async def conversation(host, port):
    """Subscribe to news, publish some, and give what came."""
    random.seed(1)  # messages have random ids, and a recording knows only those of then
    async with Client(host, port, name="reader") as client:
        news = await client.subscribe("news")
        await client.publish("news", b"it rains")
        message = await news.get()
        client.ack(message)
    return message.payload


class RecordedTest(SolipsistTestCase):
    @exact
    async def test_record(self):
        """The proxy between client and broker writes the file; it is the one that is kept."""
        path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), "news.txt")
        async with Broker(HOST, PORT):
            proxy = await self.start_proxy(HOST, PORT, record=path)
            self.assertEqual(await conversation(*proxy.address), b"it rains")
            await self.settle()  # the broker says goodbye to nobody
        self.assertEqual(path.read_text(encoding="utf-8"), KEPT.read_text(encoding="utf-8"))

    async def test_play(self):
        """The client says the same without a broker: the script answers as the broker did."""
        server = await self.start_fake_server(script=Script.recorded(KEPT))
        self.assertEqual(await conversation(*server.address), b"it rains")
