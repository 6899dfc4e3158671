// npm ws: what a publisher says goes to every reader, as it came; at /nobody it does all of that for an empty room.
const { WebSocketServer } = require("ws");

const server = new WebSocketServer({ port: Number(process.argv[2]), host: "127.0.0.1", perMessageDeflate: false });
const readers = new Set();
const rooms = { "/publish": readers, "/nobody": new Set() };

server.on("connection", (socket, request) => {
  const room = rooms[request.url];
  if (room) {
    socket.on("message", (data) => {
      for (const reader of room) reader.send(data, { binary: false });
    });
    return;
  }
  readers.add(socket);
  socket.on("close", () => readers.delete(socket));
});
