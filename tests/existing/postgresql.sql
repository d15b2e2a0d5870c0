-- A trading house that never heard of Vallum: what is found in databases that have grown.
CREATE SCHEMA sales;
CREATE TYPE "Rating" AS ENUM ('G', 'PG', 'R-18');
CREATE DOMAIN year_number AS integer CHECK (VALUE BETWEEN 1900 AND 2155);

CREATE TABLE "Customers" (
    "CustomerID" varchar(5) PRIMARY KEY,
    "Company Name" varchar(60) NOT NULL,
    "group" text,
    "user" text NOT NULL,
    code char(3),
    balance money,
    home inet,
    since timestamp NOT NULL DEFAULT now()
);
CREATE INDEX "by user" ON "Customers" ("user");

CREATE TABLE products (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    price numeric(10, 2) NOT NULL CHECK (price >= 0),
    stock smallint NOT NULL DEFAULT 0,
    worth numeric GENERATED ALWAYS AS (price * stock) STORED,
    rating "Rating" NOT NULL DEFAULT 'G',
    tags text[],
    year year_number,
    search tsvector GENERATED ALWAYS AS (to_tsvector('english', name)) STORED,
    discount real,
    picture bytea,
    extra jsonb NOT NULL DEFAULT '{}',
    changed timestamptz NOT NULL DEFAULT '2020-01-01 00:00:00+00'
);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.changed := timestamptz '2021-02-03 04:05:06+00'; RETURN NEW; END $$;
CREATE TRIGGER touched BEFORE UPDATE ON products FOR EACH ROW EXECUTE FUNCTION touch();

CREATE TABLE "order" (
    id bigserial PRIMARY KEY,
    "select" varchar(5) NOT NULL REFERENCES "Customers",
    placed date NOT NULL DEFAULT current_date
);
CREATE INDEX ON "order" ("select");

CREATE TABLE "Order Details" (
    "Order ID" bigint NOT NULL REFERENCES "order" ON DELETE CASCADE,
    "Product ID" integer NOT NULL REFERENCES products,
    "Unit Price" numeric(10, 2) NOT NULL,
    "Quantity" smallint NOT NULL DEFAULT 1 CHECK ("Quantity" > 0),
    PRIMARY KEY ("Order ID", "Product ID")
);

CREATE TABLE payment (
    payment_id integer NOT NULL,
    payment_date date NOT NULL,
    payer varchar(5) NOT NULL REFERENCES "Customers",
    amount numeric(8, 2) NOT NULL,
    PRIMARY KEY (payment_id, payment_date)
) PARTITION BY RANGE (payment_date);
CREATE TABLE payment_2025 PARTITION OF payment FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE payment_2026 PARTITION OF payment FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE INDEX ON payment (payer);

CREATE TABLE sales.invoice (
    number integer PRIMARY KEY,
    customer varchar(5) NOT NULL REFERENCES public."Customers" ON DELETE RESTRICT,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'paid'))
);
CREATE INDEX ON sales.invoice (customer);
CREATE TABLE sales.invoice_line (
    invoice integer NOT NULL REFERENCES sales.invoice ON DELETE CASCADE,
    line smallint NOT NULL,
    text varchar(80) NOT NULL,
    PRIMARY KEY (invoice, line)
);

CREATE TABLE log (at integer NOT NULL, what text NOT NULL);

CREATE VIEW customer_list AS
    SELECT c."CustomerID" AS id, c."Company Name" AS company, c."user" AS who, count(o.id) AS orders
    FROM "Customers" c LEFT JOIN "order" o ON o."select" = c."CustomerID" GROUP BY c."CustomerID";
CREATE MATERIALIZED VIEW stock_by_rating AS
    SELECT rating::text AS rating, sum(stock) AS pieces FROM products GROUP BY rating;

INSERT INTO "Customers" ("CustomerID", "Company Name", "group", "user", code, balance, since) VALUES
    ('ALFKI', 'Alfreds "Futter" & Co', 'west', 'anna', 'DE', 12, '2024-05-06 07:08:09'),
    ('BOLID', 'Bólido', NULL, 'bert', 'ES', 0, '2024-05-06 07:08:09.5');
INSERT INTO products (name, price, stock, rating, tags, discount) VALUES
    ('chai', 18, 39, 'G', '{tea}', 0.1), ('chang', 19.5, 17, 'PG', NULL, NULL), ('syrup', 10, 0, 'R-18', '{a,b}', 0.25);
INSERT INTO "order" ("select", placed) VALUES ('ALFKI', '2026-01-02'), ('BOLID', '2026-01-03'), ('ALFKI', '2026-01-04');
INSERT INTO "Order Details" VALUES (1, 1, 18, 2), (1, 2, 19.5, 1), (2, 3, 10, 5);
INSERT INTO payment VALUES (1, '2025-12-31', 'ALFKI', 10), (2, '2026-01-01', 'ALFKI', 20), (3, '2026-01-02', 'BOLID', 30);
INSERT INTO sales.invoice VALUES (100, 'ALFKI', 'open'), (101, 'BOLID', 'paid');
INSERT INTO sales.invoice_line VALUES (100, 1, 'tea'), (100, 2, 'cups'), (101, 1, 'syrup');
INSERT INTO log VALUES (1, 'opened'), (2, 'closed');
REFRESH MATERIALIZED VIEW stock_by_rating;
