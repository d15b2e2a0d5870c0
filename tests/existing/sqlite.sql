-- The same trading house, as far as SQLite has it.
CREATE TABLE "Customers" (
    "CustomerID" VARCHAR(5) NOT NULL PRIMARY KEY,
    "Company Name" VARCHAR(60) NOT NULL,
    "group" TEXT,
    "user" TEXT NOT NULL,
    code CHAR(3),
    balance MONEY,
    home BLOB,
    since DATETIME NOT NULL DEFAULT '2024-05-06 07:08:09'
);
CREATE INDEX "by user" ON "Customers" ("user");

CREATE TABLE products (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    price NUMERIC(10, 2) NOT NULL CHECK (price >= 0),
    stock SMALLINT NOT NULL DEFAULT 0,
    worth NUMERIC(12, 2) GENERATED ALWAYS AS (price * stock) STORED,
    rating VARCHAR(4) NOT NULL DEFAULT 'G',
    tags TEXT,
    year INTEGER,
    search TEXT,
    discount REAL,
    picture BLOB,
    extra JSON NOT NULL DEFAULT '{}',
    changed DATETIME NOT NULL DEFAULT '2020-01-01 00:00:00.000000'
);
CREATE TRIGGER touched AFTER UPDATE OF name, price, stock ON products FOR EACH ROW
BEGIN UPDATE products SET changed = '2021-02-03 04:05:06.000000' WHERE id = NEW.id; END;

CREATE TABLE "order" (
    id INTEGER PRIMARY KEY,
    "select" VARCHAR(5) NOT NULL REFERENCES "Customers",
    placed DATE NOT NULL DEFAULT CURRENT_DATE
);
CREATE INDEX order_select ON "order" ("select");

CREATE TABLE "Order Details" (
    "Order ID" BIGINT NOT NULL REFERENCES "order" ON DELETE CASCADE,
    "Product ID" INTEGER NOT NULL REFERENCES products,
    "Unit Price" NUMERIC(10, 2) NOT NULL,
    "Quantity" SMALLINT NOT NULL DEFAULT 1 CHECK ("Quantity" > 0),
    PRIMARY KEY ("Order ID", "Product ID")
) WITHOUT ROWID;

CREATE TABLE payment (
    payment_id INTEGER NOT NULL,
    payment_date DATE NOT NULL,
    payer VARCHAR(5) NOT NULL REFERENCES "Customers",
    amount NUMERIC(8, 2) NOT NULL,
    PRIMARY KEY (payment_id, payment_date)
);
CREATE INDEX payment_payer ON payment (payer);

CREATE TABLE log (at INTEGER NOT NULL, what TEXT NOT NULL);

CREATE VIEW customer_list AS
    SELECT c."CustomerID" AS id, c."Company Name" AS company, c."user" AS who, count(o.id) AS orders
    FROM "Customers" c LEFT JOIN "order" o ON o."select" = c."CustomerID" GROUP BY c."CustomerID";

INSERT INTO "Customers" ("CustomerID", "Company Name", "group", "user", code, balance, since) VALUES
    ('ALFKI', 'Alfreds "Futter" & Co', 'west', 'anna', 'DE', 12, '2024-05-06 07:08:09.000000'),
    ('BOLID', 'Bólido', NULL, 'bert', 'ES', 0, '2024-05-06 07:08:09.500000');
INSERT INTO products (name, price, stock, rating, tags, discount) VALUES
    ('chai', 18, 39, 'G', '{tea}', 0.1), ('chang', 19.5, 17, 'PG', NULL, NULL), ('syrup', 10, 0, 'R-18', '{a,b}', 0.25);
INSERT INTO "order" ("select", placed) VALUES ('ALFKI', '2026-01-02'), ('BOLID', '2026-01-03'), ('ALFKI', '2026-01-04');
INSERT INTO "Order Details" VALUES (1, 1, 18, 2), (1, 2, 19.5, 1), (2, 3, 10, 5);
INSERT INTO payment VALUES (1, '2025-12-31', 'ALFKI', 10), (2, '2026-01-01', 'ALFKI', 20), (3, '2026-01-02', 'BOLID', 30);
INSERT INTO log VALUES (1, 'opened'), (2, 'closed');
