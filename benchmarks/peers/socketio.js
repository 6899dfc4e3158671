// socket.io: what a publisher emits is emitted to everybody in the room it names: "readers", or one that is empty.
const { Server } = require("socket.io");

const io = new Server(Number(process.argv[2]), { transports: ["websocket"], serveClient: false });

io.on("connection", (socket) => {
  const room = socket.handshake.query.publish;
  if (room) {
    socket.on("publish", (event) => io.to(room).emit("event", event));
    return;
  }
  socket.join("readers");
});
