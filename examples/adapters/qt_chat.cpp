// A chat server as a Qt application: signals of the process are signals of Qt, connected to slots.
//
// What one client writes all others read. SIGHUP reads the greeting anew. SIGTERM and Ctrl-C stop it: the clients are told why
// and have two seconds to take it; the second Ctrl-C does not wait.
//
//     ./qt_chat 7000 greeting.txt &  nc 127.0.0.1 7000; kill -HUP $!; kill $!
//
// Exit status: 0 stopped by a signal, 1 error, 2 wrong arguments.

#include <QCoreApplication>
#include <QFile>
#include <QHostAddress>
#include <QList>
#include <QObject>
#include <QTcpServer>
#include <QTcpSocket>

#include <tocsin/adapters/qt.hpp>

#include <cstdint>
#include <exception>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>

#include "../descriptor.hpp"

namespace {

class chat : public QObject {
    Q_OBJECT

public:
    chat(quint16 port, const QString& path)
        : path_(path)
    {
        if (!load())
            throw std::runtime_error("cannot read " + path.toStdString());
        if (!server_.listen(QHostAddress::LocalHost, port))
            throw std::runtime_error("cannot listen: " + server_.errorString().toStdString());
        connect(&server_, &QTcpServer::newConnection, this, &chat::welcome);
        connect(&hang_up_, &tocsin::qt::signal_notifier::received, this, &chat::reload);
        connect(&stop_, &tocsin::qt::signal_notifier::received, this, &chat::stop);
        connect(&patience_, &tocsin::qt::timer::expired, this, [this] {
            std::cout << "Not waiting any longer" << std::endl;
            emit finished();
        });
        std::cout << "Chatting on 127.0.0.1:" << server_.serverPort() << std::endl;
    }
    ~chat() override
    {
        for (QTcpSocket* const client : clients_) // they end with the server, and would tell a room that is half gone
            client->disconnect(this);
    }

signals:
    void finished();

private:
    void welcome()
    {
        while (QTcpSocket* const client = server_.nextPendingConnection()) {
            clients_ << client;
            connect(client, &QTcpSocket::readyRead, this, [this, client] { pass_on(client); });
            connect(client, &QTcpSocket::disconnected, this, [this, client] { good_bye(client); });
            client->write(greeting_);
        }
    }

    void reload(const tocsin::event& e)
    {
        std::cout << (load() ? "Reloaded: " : "Not reloaded: ") << tocsin::describe(e.info) << std::endl;
    }

    void stop(const tocsin::event& e)
    {
        const std::string why = tocsin::describe(e.info);
        std::cout << "Stopping, " << clients_.size() << " here: " << why << std::endl;
        server_.close();
        patience_.fd().settime(2.0);
        stopping_ = true;
        for (QTcpSocket* const client : QList(clients_)) { // good_bye() takes them out
            client->write(QByteArray::fromStdString("The server stops: " + why + "\n"));
            client->disconnectFromHost(); // when that has been sent
        }
        leave_when_empty();
    }

    bool load()
    {
        QFile file(path_);
        if (!file.open(QIODevice::ReadOnly))
            return false;
        greeting_ = file.readAll();
        return true;
    }

    void pass_on(QTcpSocket* from)
    {
        while (from->canReadLine()) {
            const QByteArray line = from->readLine();
            for (QTcpSocket* const client : clients_) {
                if (client != from)
                    client->write(line);
            }
        }
    }

    void good_bye(QTcpSocket* client)
    {
        clients_.removeOne(client);
        client->deleteLater();
        leave_when_empty();
    }

    void leave_when_empty()
    {
        if (stopping_ && clients_.isEmpty())
            emit finished();
    }

    QString path_;
    QByteArray greeting_;
    bool stopping_ = false;
    QTcpServer server_;
    QList<QTcpSocket*> clients_; // the server's children
    tocsin::qt::signal_notifier hang_up_{tocsin::signal_set{SIGHUP}};
    tocsin::qt::signal_notifier stop_{{SIGINT, SIGTERM}, {.second_is_default = true}};
    tocsin::qt::timer patience_;
};

} // namespace

int main(int argc, char** argv)
{
    const QCoreApplication application(argc, argv);
    const std::optional<std::uint16_t> port =
        argc == 3 ? example::parse_number<std::uint16_t>(argv[1], 0, 65535) : std::nullopt;
    if (!port) {
        std::cerr << "usage: qt_chat PORT FILE\n"
                     "Passes lines between clients on PORT of 127.0.0.1 (0: any that is free) until Ctrl-C or SIGTERM; "
                     "greets with FILE, which SIGHUP reads anew.\n";
        return 2;
    }
    try {
        tocsin::signal(SIGPIPE, tocsin::ignore); // a client that hangs up
        chat room(*port, QString::fromLocal8Bit(argv[2]));
        QObject::connect(&room, &chat::finished, &application, &QCoreApplication::quit, Qt::QueuedConnection);
        return QCoreApplication::exec();
    } catch (const std::exception& error) {
        std::cerr << "qt_chat: " << error.what() << '\n';
        return 1;
    }
}

#include "qt_chat.moc"
