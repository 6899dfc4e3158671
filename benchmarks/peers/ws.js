// npm ws: what the publisher says goes to every other connection, as it came.
const { WebSocketServer } = require("ws");

const server = new WebSocketServer({ port: Number(process.argv[2]), host: "127.0.0.1", perMessageDeflate: false });
const readers = new Set();

server.on("connection", (socket, request) => {
  if (request.url.startsWith("/publish")) {
    socket.on("message", (data) => {
      for (const reader of readers) reader.send(data, { binary: false });
    });
    return;
  }
  readers.add(socket);
  socket.on("close", () => readers.delete(socket));
});
