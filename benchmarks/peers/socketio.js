// socket.io: what the publisher emits is emitted to everybody in a room.
const { Server } = require("socket.io");

const io = new Server(Number(process.argv[2]), { transports: ["websocket"], serveClient: false });

io.on("connection", (socket) => {
  if (socket.handshake.query.publish) {
    socket.on("publish", (event) => io.to("readers").emit("event", event));
    return;
  }
  socket.join("readers");
});
